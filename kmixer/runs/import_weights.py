"""Published weights of the paper's Mixers → a run folder."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..config import Settings, loading
from ..errors import DataError
from ..files import atomic
from ..files.text import read_text
from ..models.factory import build_model, without_values
from ..models.published_weights import PublishedWeights, abbreviate, read_published
from ..models.variants import SIZES, mixer_size, size_key
from . import provenance
from .card import run_card
from .run import CARD_FILE, Run, create_run

FLOATS = ("float16", "bfloat16", "float32", "float64")
PAPER_SIDE, PAPER_CLASSES = 224, 1000


def import_weights(
    path: str | Path | PublishedWeights,
    size: str,
    *,
    labels: str | Path | None = None,
    mean: float = 0.5,
    std: float = 0.5,
    root: str | Path = "saved_models",
    out: str | Path | None = None,
    command: str = "kmixer.import_weights(...)",
) -> Run:
    """Read published weights of one of the paper's Mixers into a run folder.

    The images' side and the number of classes follow from the shapes of the arrays.

    Args:
        path: the original's `.npz` or timm's `.safetensors`, of 16-, 32- or 64-bit floats, which
            become float32. Or the `PublishedWeights` that `read_published` returned for it.
        size: a name that `kmixer.models.mixer_size` knows, such as `"B/16"`.
        labels: a text file of class names, one a line, in the order of the logits; default
            `class 0`, `class 1`, …
        mean: of each channel of pixels scaled to 0..1, as the weights were trained with.
        std: likewise; a mean and std of 0.5 scale pixels to the original's -1..1.
        root: where run folders go.
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
    size = size_key(size)
    published = path if isinstance(path, PublishedWeights) else read_published(path)
    settings, shape, classes = _settings(published, size, mean, std)
    _check_shapes(published, size)
    class_names = _class_names(labels, classes)
    model = build_model(settings, shape, classes)
    _assign(published, model)
    info = _info(command, shape) | {
        "imported": {
            "file": published.path.name,  # the folder means nothing on another machine
            "sha256": published.sha256,
            "layout": published.layout.name,
            "size": size,
            "parameters": model.count_params(),
        }
    }
    run = create_run(settings, info, class_names, root=root, stem=f"mixer-{size}", out=out)
    run.save_model(model)
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


def _settings(
    published: PublishedWeights, size: str, mean: float = 0.5, std: float = 0.5
) -> tuple[Settings, tuple[int, int, int], int]:
    """Return the settings, input shape and number of classes that the arrays' shapes give."""
    mixer = mixer_size(size)
    biases = [f"mixer_block_{block}/token_mixing/output/bias" for block in range(mixer["blocks"])]
    tokens = _length(published, biases, (PAPER_SIDE // mixer["patch_size"]) ** 2)
    side = max(math.isqrt(tokens), 1) * mixer["patch_size"]
    data = {"name": None, "image_size": side, "mean": [mean] * 3, "std": [std] * 3}
    model = {"name": "mixer", "activation": published.layout.activation} | mixer
    settings = loading.build_settings({"data": data, "model": model})
    return settings, (side, side, 3), _length(published, ["head/bias"], PAPER_CLASSES)


def _length(published: PublishedWeights, names: Sequence[str], default: int) -> int:
    """Return the most frequent length of the arrays of these names."""
    files = [name for name in map(published.layout.file_name, names) if name in published.arrays]
    lengths = Counter(published.arrays[name].size for name in files)
    return max(lengths.most_common(1)[0][0], 1) if lengths else default


def _check_shapes(published: PublishedWeights, size: str) -> None:
    """Refuse a file whose arrays are not exactly those of this size."""
    mismatches = {kind: names for kind, names in _mismatches(published, size).items() if names}
    if not mismatches:
        return
    kinds = "; ".join(f"{kind}: {abbreviate(names)}" for kind, names in mismatches.items())
    other = _matching_size(published)
    hint = f"; they fit --size {other}" if other else ""
    raise DataError(f"{published.path}: its arrays are not those of size {size}: {kinds}{hint}")


def _matching_size(published: PublishedWeights) -> str | None:
    """Return the size that the arrays fit; the stem rules out all but one, which is then built."""
    layout = published.layout
    stem = published.arrays.get(layout.file_name("stem/kernel"), np.zeros(0)).shape
    for key, size in SIZES.items():
        side, hidden_dim = size["patch_size"], size["hidden_dim"]
        if stem == layout.file_shape((side, side, 3, hidden_dim)):
            return None if any(_mismatches(published, key).values()) else key
    return None


def _mismatches(published: PublishedWeights, size: str) -> dict[str, list[str]]:
    """Return the missing, extra and misshapen arrays, for a model of this size."""
    arrays, layout = published.arrays, published.layout
    weights = without_values(lambda: build_model(*_settings(published, size))).weights
    expected = {layout.file_name(w.path): layout.file_shape(w.shape) for w in weights}
    return {
        "missing": [name for name in expected if name not in arrays],
        "extra": [name for name in arrays if name not in expected],
        "misshapen": [
            f"{name} {_times(arrays[name].shape)} (expected {_times(shape)})"
            for name, shape in expected.items()
            if name in arrays and arrays[name].shape != shape
        ],
    }


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "a single value"


def _assign(published: PublishedWeights, model: keras.Model) -> None:
    layout = published.layout
    for weight in model.weights:
        name = layout.file_name(weight.path)
        array = _float32(published.path, name, published.arrays[name])
        weight.assign(layout.to_our_axes(array))


def _float32(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Return the array as float32.

    Raises:
        DataError: its type is no floating-point type, or it holds values that are not finite.
    """
    if array.dtype.name not in FLOATS:
        raise DataError(f"{path}: {name}: received {array.dtype}, expected {', '.join(FLOATS)}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is caught as infinite
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {name}: holds values that are not finite; download it again")
    return array


def _class_names(labels: str | Path | None, classes: int) -> list[str]:
    if labels is None:
        return [f"class {index}" for index in range(classes)]
    names = [line.strip() for line in read_text(labels, DataError).splitlines()]
    if len(names) != classes:
        raise DataError(f"{labels}: received {len(names)} lines, expected {classes} class names")
    return names
