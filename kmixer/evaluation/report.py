"""Runs → one HTML file that needs nothing else: no network, no files beside it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..config import loading
from ..data.quality import read_problems
from ..errors import KmixerError
from ..files import atomic
from ..files.printable import printable_lines
from ..files.text import data_address
from ..layers import Block
from ..models.grids import token_grid
from ..runs.conditions import libraries
from ..runs.consistency import check_consistent
from ..runs.run import MODEL_FILE, PROBLEMS_FILE
from . import comparison, figures
from .evaluate import predict_split
from .explanation import Evidence, Look, explain
from .fonts import LONGEST_NAME, numbered
from .heat_maps import as_png, largest_part
from .integrated_gradients import STEPS, look_by_gradients
from .mistakes import image_name
from .own_data import load_own
from .predictions import Mistake, worst_mistakes

if TYPE_CHECKING:
    from ..data import Dataset
    from ..runs.run import Run
    from .own_data import OwnData

    Loaded = dict[tuple[Any, ...], OwnData]

TEMPLATE = "report.html"
MOST_CONFUSED = 8
MOST_PROBLEMS = 50  # of a data set that are listed
THUMBNAIL = 96  # pixels; larger images are made smaller
MAP = 32  # pixels of a heat map's longer side, at most


def write_report(
    runs: Sequence[Run], path: str | Path, progress: Callable[[int, int], object] | None = None
) -> None:
    """Measure each run on its own test set and write the report.

    Args:
        runs: finished `Run`s; with several, a comparison comes first.
        path: of the HTML file.
        progress: called with (done, total) runs.

    Raises:
        KmixerError: the file cannot be written.
    """
    import jinja2

    atomic.check_writable(path)
    sections: list[dict[str, Any]] = []
    loaded: Loaded = {}
    for name, run in zip(comparison.run_names(runs), runs, strict=True):
        sections.append(_section(name, run, loaded))
        if progress:
            progress(len(sections), len(runs))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_visible
    )
    source = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=sections[0]["name"] if len(runs) == 1 else f"{len(runs)} runs compared",
        comparison=_comparison(runs) if len(runs) > 1 else None,
        runs=sections,
    )
    atomic.write_text(path, page)


def _visible(value: Any) -> Any:
    """Return what is shown of a value; Jinja escapes it for HTML after that."""
    return printable_lines(value) if type(value) is str else value  # else a macro's HTML


def _comparison(runs: Sequence[Run]) -> dict[str, Any]:
    rows = comparison.table(runs)
    best = comparison.best_rows(rows).values()
    return {
        "rows": [row | {"best": any(row is best_row for best_row in best)} for row in rows],
        "numbered": numbered([row["run"] for row in rows], LONGEST_NAME),
        "differences": comparison.differences(runs),
        "pictures": {
            title: figures.as_svg(figure) for title, figure in comparison.curves(runs).items()
        },
    }


def _section(name: str, run: Run, loaded: Loaded) -> dict[str, Any]:
    """Return what the template shows of a run; less if its images or weights are missing."""
    check_consistent(run, but=[MODEL_FILE])
    section: dict[str, Any] = {
        "name": name,
        "info": run.info,
        "libraries": libraries(run.info, run.metrics["backend"]),
        "metrics": run.metrics,
        "settings": loading.dump(run.settings),
        "curves": {
            panel: figures.as_svg(figure)
            for panel, figure in figures.curve_panels(run.history, run.settings.soft_labels).items()
        },
        "measured": None,
        "token_mixing": {},
        "problem": None,
        **_data_problems(run),
    }
    if not run.metrics["best"]["test"]:
        return section | {"problem": "it is a search's trial, and the test set is not read"}
    try:
        own = _own_data(run, loaded)
        own.check_test(run)
        model = run.load_model()
    except KmixerError as error:
        return section | {"problem": str(error)}
    if own.changed:
        section["problem"] = own.changed
    in_float32 = run.settings.training.precision == "float32"
    look = look_by_gradients(model if in_float32 else run.in_float32().load_model(), STEPS)
    mixing = {
        title: figures.as_svg(figures.token_mixing(kernel, grid, title))
        for title, kernel, grid in _token_mixing(model)
    }
    return section | {"measured": _measure(model, look, own.dataset), "token_mixing": mixing}


def _data_problems(run: Run) -> dict[str, Any]:
    """Return what was wrong with the run's images when its training began, for the template."""
    problems = read_problems(run.folder / PROBLEMS_FILE)
    return {"data_problems": problems[:MOST_PROBLEMS], "data_problem_count": len(problems)}


def _own_data(run: Run, loaded: Loaded) -> OwnData:
    """Load a run's data set, once for all runs that were trained on the same images."""
    key = (run.settings.data.model_dump_json(), run.info.get("data_sha256"))
    if key not in loaded:
        loaded[key] = load_own(run)
    return loaded[key]


def _measure(model: keras.Model, look: Look, dataset: Dataset) -> dict[str, Any]:
    predictions = predict_split(model, dataset.test)
    matrix, class_names = predictions.confusion_matrix, dataset.class_names
    mistakes = worst_mistakes(predictions, class_names)
    return {
        "calibration_error": predictions.calibration_error,
        "reliability": figures.as_svg(figures.reliability(predictions.calibration)),
        "accuracy_interval": predictions.accuracy_interval,
        "top_5_accuracy": predictions.top_5_accuracy,
        "macro_average": predictions.macro_average(),
        "per_class": predictions.per_class(class_names),
        "confusion_matrix": figures.as_svg(figures.confusion_matrix(matrix, class_names)),
        "numbered": numbered(class_names),
        "confused": _most_confused(matrix, class_names),
        "mistakes": [
            {
                "mistake": mistake,
                "file": image_name(dataset.test, mistake.index),
                **_explained(look(dataset.test.images[mistake.index]), mistake, class_names),
            }
            for mistake in mistakes
        ],
    }


def _explained(evidence: Evidence, mistake: Mistake, class_names: Sequence[str]) -> dict[str, Any]:
    """Return a mistake's picture, and the maps of the predicted class and of the true one."""
    labels = (class_names.index(name) for name in (mistake.predicted, mistake.truth))
    explanation = explain(evidence, class_names, *labels)
    both = (explanation.chosen, explanation.other)
    largest = largest_part(*(one.heat for one in both))
    height, width = explanation.seen.shape[:2]
    return {
        "picture": _png(explanation.seen),
        "shape": f"{width}/{height}",
        "maps": {
            one.name: data_address("image/png", as_png(one.heat, largest, MAP)) for one in both
        },
    }


def _most_confused(matrix: np.ndarray, class_names: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return (true class, predicted class, count) of the most frequent confusions."""
    wrong = matrix - np.diag(np.diag(matrix))
    largest = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = [np.unravel_index(index, matrix.shape) for index in largest]
    return [(class_names[t], class_names[p], int(wrong[t, p])) for t, p in pairs if wrong[t, p]]


def _token_mixing(model: keras.Model) -> Iterator[tuple[str, np.ndarray, tuple[int, int]]]:
    """Yield title, kernel `(tokens, units)` and token grid of each block that mixes tokens."""
    grid = token_grid(model)
    if grid is None:
        return
    blocks = [layer for layer in model.layers if isinstance(layer, Block)]
    kernels = [block.token_mixing_kernel() for block in blocks]
    for number, weights in enumerate((k for k in kernels if k is not None), 1):
        kernel = keras.ops.convert_to_numpy(weights)
        units = kernel.shape[1]
        shown = min(units, figures.MOST_UNITS)
        yield f"Block {number}: {shown} of {units} units", kernel, grid


def _png(image: np.ndarray) -> str:
    """Return a uint8 image `(height, width, 1 or 3)` as a `data:` address."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return data_address("image/png", buffer.getvalue())
