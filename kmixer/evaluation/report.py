"""Runs → one HTML file that needs nothing else: no network, no files beside it."""

import io
from importlib import resources

import keras
import numpy as np

from ..config import loading
from ..errors import KmixerError
from ..files import atomic
from ..layers import MixerBlock
from ..models.factory import token_grid
from . import comparison, figures
from .evaluate import check_same_kind, load_data, predict
from .predictions import mistakes

TEMPLATE = "report.html"
MOST_CONFUSED = 8
THUMBNAIL = 96  # pixels; larger images are made smaller


def write_report(runs, path, progress=None):
    """Measure each run on its own test set and write the report.

    Args:
        runs: a list of finished `Run`s; with several, a comparison comes first.
        path: of the HTML file.
        progress: called with (done, total) runs.

    Raises:
        KmixerError: the file cannot be written.
    """
    import jinja2

    sections, datasets = [], {}
    atomic.check_writable(path)
    for index, (name, run) in enumerate(zip(comparison.names(runs), runs, strict=True)):
        sections.append(_section(name, run, datasets))
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
    best = comparison.best(rows).values()
    return {
        "rows": [row | {"best": any(row is each for each in best)} for row in rows],
        "differences": comparison.differences(runs),
        "pictures": {
            title: figures.as_svg(figure) for title, figure in comparison.curves(runs).items()
        },
    }


def _section(name, run, datasets):
    """Return what the template shows of a run; without its images or weights, the rest of it."""
    section = {
        "name": name,
        "info": run.info,
        "metrics": run.metrics,
        "settings": loading.dump(run.settings),
        "curves": {
            panel: figures.as_svg(figure)
            for panel, figure in figures.curve_panels(run.history, run.settings.soft_labels).items()
        },
        "measured": None,
        "token_mixing": {},
        "problem": None,
    }
    if not run.metrics["best"]["test"]:
        return section | {"problem": "it is a search's trial, and the test set is not read"}
    try:
        dataset = _dataset(run, datasets)
        check_same_kind(run, dataset)
        model = run.load_model()
    except KmixerError as error:
        return section | {"problem": str(error)}
    if dataset.fingerprint() != run.info.get("data_sha256"):
        section["problem"] = "what follows was measured on other images than the run had"
    mixing = {
        title: figures.as_svg(figures.token_mixing(kernel, grid, title))
        for title, kernel, grid in _token_mixing(model, run.settings)
    }
    return section | {"measured": _measured(model, dataset), "token_mixing": mixing}


def _dataset(run, datasets):
    """Load a run's data set, once for all runs that have the same images and splits."""
    data = run.settings.data
    key = (data.name, data.dir, data.image_size, data.validation_size, data.split_seed)
    if key not in datasets:
        datasets[key] = load_data(run)
    return datasets[key]


def _measured(model, dataset):
    predictions = predict(model, dataset.test)
    matrix, classes = predictions.confusion_matrix, dataset.class_names
    wrong = mistakes(predictions, classes)
    return {
        "calibration_error": predictions.calibration_error,
        "per_class": predictions.per_class(classes),
        "confusion_matrix": figures.as_svg(figures.confusion_matrix(matrix, classes)),
        "confused": _confused(matrix, classes),
        "mistakes": [(mistake, _png(dataset.test.images[mistake.index])) for mistake in wrong],
    }


def _confused(matrix, classes):
    """Return (truth, said, count) of the most frequent confusions."""
    wrong = matrix - np.diag(np.diag(matrix))
    largest = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = [np.unravel_index(index, matrix.shape) for index in largest]
    return [(classes[t], classes[s], int(wrong[t, s])) for t, s in pairs if wrong[t, s]]


def _token_mixing(model, settings):
    """Yield title, first kernel and patch grid of each Mixer block's token mixing."""
    for number, block in enumerate((la for la in model.layers if isinstance(la, MixerBlock)), 1):
        grid = token_grid(model, settings)
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
    return figures.data_address("image/png", buffer.getvalue())
