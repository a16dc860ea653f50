"""Runs → one HTML file that needs nothing else: no network, no files beside it."""

import base64
import io
from importlib import resources

import keras

from . import atomic, comparison, evaluation, figures, settings_io
from .layers import MixerBlock, patch_grid

TEMPLATE = "report.html"
THUMBNAIL = 96  # pixels; larger images are made smaller


def write_report(runs, path, progress=None):
    """Measure each run on its own test set and write the report.

    Args:
        runs: a list of finished `Run`s; with several, a comparison comes first.
        path: of the HTML file.
        progress: called with (done, total) runs.

    Raises:
        KmixerError: a run's data or weights are not there, or the file cannot be written.
    """
    import jinja2

    sections, datasets = [], {}
    for index, (name, run) in enumerate(zip(comparison.names(runs), runs, strict=True)):
        data = run.settings.data.model_dump_json()
        if data not in datasets:
            datasets[data] = evaluation.load_data(run)
        sections.append(_section(name, run, datasets[data]))
        if progress:
            progress(index + 1, len(runs))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    source = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=sections[0]["name"] if len(runs) == 1 else f"{len(runs)} runs compared",
        comparison=_comparison(runs) if len(runs) > 1 else None,
        runs=sections,
    )
    atomic.write_text(path, page)


def _comparison(runs):
    rows = comparison.table(runs)
    return {
        "rows": rows,
        "best": max(rows, key=lambda row: row["validation_accuracy"])["run"],
        "differences": comparison.differences(runs),
        "pictures": {
            title: figures.as_svg(figure) for title, figure in comparison.curves(runs).items()
        },
    }


def _section(name, run, dataset):
    """Return what the template shows of a run."""
    evaluation.check_same_kind(run, dataset)
    model = run.load_model()
    predictions = evaluation.predict(model, dataset.test)
    smoothed = run.settings.training.label_smoothing > 0
    matrix = figures.confusion_matrix(predictions.confusion_matrix, dataset.class_names)
    wrong = evaluation.mistakes(predictions, dataset.class_names)
    return {
        "name": name,
        "info": run.info,
        "metrics": run.metrics,
        "settings": settings_io.dump(run.settings),
        "calibration_error": predictions.calibration_error,
        "accuracy": predictions.accuracy,
        "per_class": predictions.per_class(dataset.class_names),
        "curves": {
            panel: figures.as_svg(figure)
            for panel, figure in figures.curve_panels(run.history, smoothed).items()
        },
        "confusion_matrix": figures.as_svg(matrix),
        "mistakes": [(mistake, _png(dataset.test.images[mistake.index])) for mistake in wrong],
        "token_mixing": {
            title: figures.as_svg(figures.token_mixing(kernel, grid, title))
            for title, kernel, grid in _token_mixing(model, run.settings.model)
        },
    }


def _token_mixing(model, settings):
    """Yield title, first kernel and patch grid of each Mixer block's token mixing."""
    for number, block in enumerate((la for la in model.layers if isinstance(la, MixerBlock)), 1):
        side = model.input_shape[1:3]
        grid = patch_grid(side, settings.patch_size, settings.patch_stride or settings.patch_size)
        kernel = keras.ops.convert_to_numpy(block.token_mixing.hidden.kernel)
        shown = min(kernel.shape[1], figures.MOST_UNITS)
        yield f"Block {number}: {shown} of {kernel.shape[1]} units", kernel, grid


def _png(image):
    """Return a uint8 image `(height, width, 1 or 3)` as a `data:` address."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
