"""Published weights of the paper's Mixers → a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import Settings
from ..data.sources.fashion_mnist import scaled_fashion_mnist
from ..errors import DataError
from ..files import atomic
from ..files.text import read_text
from ..models.factory import build_model, without_values
from ..models.published_weights import PublishedWeights, read_published
from ..models.variants import mixer_size, size_key
from . import provenance
from .assign_weights import assign_arrays, check_arrays, find_mismatches
from .card import run_card
from .example_image import write_example
from .published_settings import mixer_arguments, published_settings, size_of
from .run import CARD_FILE, Run, create_run

Described = tuple[Settings, tuple[int, int, int], int]


def import_weights(
    path: str | Path | PublishedWeights,
    size: str | None = None,
    *,
    labels: str | Path | None = None,
    mean: float = 0.5,
    std: float = 0.5,
    root: str | Path = "saved_models",
    name: str | None = None,
    out: str | Path | None = None,
    command: str = "kmixer.import_weights(...)",
) -> Run:
    """Read published weights of one of the paper's Mixers into a run folder.

    The images' side and the number of classes follow from the shapes of the arrays.

    Args:
        path: the original's `.npz` or timm's `.safetensors`, of 16-, 32- or 64-bit floats, which
            become float32. Or the `PublishedWeights` that `read_published` returned for it.
        size: a name that `kmixer.models.mixer_size` knows, such as `"B/16"`; by default patch size,
            blocks and widths follow from the shapes too.
        labels: a text file of class names, one a line, in the order of the logits; default
            `class 0`, `class 1`, …
        mean: of each channel of pixels scaled to 0..1, as the weights were trained with.
        std: likewise; a mean and std of 0.5 scale pixels to the original's -1..1.
        root: where run folders go.
        name: of the run folder, instead of `mixer-<size>-<n>`.
        out: the run folder itself, instead of `<root>/mixer-<size>-<n>`.
        command: written to config.yaml as the command that made the run.

    Returns:
        The `Run`: config.yaml, labels.txt and model.keras, without history or metrics.

    Raises:
        SettingsError: there is no such size, or `std` is not positive.
        DataError: the file or the labels cannot be read, or do not fit that Mixer.
        RunError: the folder is taken or cannot be written.

    Example:
        >>> import kmixer
        >>> run = kmixer.import_weights("Mixer-S_32.npz", "S/32")
        >>> run.imported, len(run.class_names)
        (True, 5)
    """
    size = size and size_key(size)
    published = path if isinstance(path, PublishedWeights) else read_published(path)
    shapes, layout = published.shapes, published.layout
    arguments = mixer_size(size) if size else mixer_arguments(shapes, layout)
    described = published_settings(shapes, layout, arguments, [mean] * 3, [std] * 3)
    _check_shapes(published, size, described)
    settings, shape, classes = described
    class_names = _class_names(labels, classes)
    model = build_model(settings, shape, classes)
    assign_arrays(published, model)
    size = size or size_of(arguments)
    info = _info(command, shape) | {
        "imported": {
            "file": published.path.name,  # the folder means nothing on another machine
            "sha256": published.sha256,
            "layout": published.layout.name,
            "size": size,
            "parameters": model.count_params(),
        }
    }
    stem = f"mixer-{size}" if size else "mixer"
    run = create_run(settings, info, class_names, root=root, stem=stem, name=name, out=out)
    run.save_model(model)
    write_example(run.folder, scaled_fashion_mnist(shape, 1)[0])
    atomic.write_text(run.folder / CARD_FILE, run_card(run))
    return run


def _info(command: str, input_shape: Sequence[int]) -> dict[str, Any]:
    return {
        "command": command,
        "preset": None,
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "device": provenance.device(),
        "dataset": None,
        "input_shape": list(input_shape),
    }


def _check_shapes(published: PublishedWeights, size: str | None, described: Described) -> None:
    """Refuse a file whose arrays are not exactly those of this size."""
    weights = without_values(lambda: build_model(*described)).weights
    fitting = size_of(mixer_arguments(published.shapes, published.layout))
    hint = f"; they fit --size {fitting}" if size and fitting and _fits(published, fitting) else ""
    check_arrays(published, weights, f"size {size}" if size else "one Mixer", hint)


def _fits(published: PublishedWeights, size: str) -> bool:
    """Whether the arrays are those of this size, of which the stem and others remind."""
    shapes, layout = published.shapes, published.layout
    described = published_settings(shapes, layout, mixer_size(size))
    weights = without_values(lambda: build_model(*described)).weights
    return not find_mismatches(shapes, layout, weights)


def _class_names(labels: str | Path | None, classes: int) -> list[str]:
    if labels is None:
        return [f"class {index}" for index in range(classes)]
    names = [line.strip() for line in read_text(labels, DataError).splitlines()]
    if len(names) != classes:
        raise DataError(f"{labels}: received {len(names)} lines, expected {classes} class names")
    return names
