"""Published weights of the paper's Mixers → a run folder."""

import math
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from ..config import loading
from ..errors import DataError
from ..files import atomic
from ..models.factory import build_model
from ..models.published_weights import Published, few, read_published
from ..models.variants import SIZES, mixer_size, size_key
from . import provenance
from .card import run_card
from .run import create_run

FLOATS = ("float16", "bfloat16", "float32", "float64")
PAPER_SIDE, PAPER_CLASSES = 224, 1000


def import_weights(path, size, *, labels=None, mean=0.5, std=0.5, root="saved_models", out=None,
                   command="kmixer.import_weights(...)"):  # fmt: skip
    """Read published weights of one of the paper's Mixers into a run folder.

    The images' side and the number of classes are read off the arrays.

    Args:
        path: the original's `.npz` or timm's `.safetensors`, of 16-, 32- or 64-bit floats; kept as
            float32. Or the `Published` that `read_published` made of it.
        size: a name that `kmixer.models.mixer_size` knows, such as `"B/16"`.
        labels: a text file of class names, one a line, in the order of the logits; default
            `class 0`, `class 1`, …
        mean: of each channel of pixels scaled to 0..1, as the weights were trained with.
        std: likewise; .5 and .5 make of the pixels the original's -1..1.
        root: where run folders go.
        out: the run folder itself, instead of `<root>/mixer-<size>-<n>`.
        command: what config.yaml says the run came from.

    Returns:
        The `Run`: config.yaml, labels.txt and model.keras, without history or metrics.

    Raises:
        SettingsError: there is no such size, or `std` is not positive.
        DataError: the file or the labels cannot be read, or are not that Mixer's.
        RunError: the folder is taken or cannot be written.
    """
    size = size_key(size)
    published = path if isinstance(path, Published) else read_published(path)
    path = published.path
    arrays, layout = published.arrays, published.layout
    settings, shape, classes = _plan(arrays, layout, size, mean, std)
    _check_shapes(path, arrays, layout, size)
    class_names = _class_names(labels, classes)
    model = build_model(settings, shape, classes)
    _assign(path, arrays, layout, model)
    imported = {
        "file": path.name,  # without the folder, which says nothing elsewhere
        "sha256": published.sha256,
        "layout": layout.name,
        "size": size,
        "parameters": model.count_params(),
    }
    info = _info(command, shape) | {"imported": imported}
    run = create_run(settings, info, class_names, root=root, stem=f"mixer-{size}", out=out)
    run.save_model(model)
    atomic.write_text(run.folder / "README.md", run_card(run))
    return run


def _info(command, input_shape):
    return {
        "command": command,
        "preset": None,
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "device": provenance.device(),
        "dataset": None,
        "input_shape": list(input_shape),
    }


def _plan(arrays, layout, size, mean=0.5, std=0.5):
    """Return settings, input shape and number of classes as the arrays have them."""
    mixer = mixer_size(size)
    biases = [f"mixer_block_{block}/token_mixing/output/bias" for block in range(mixer["blocks"])]
    tokens = _length(arrays, layout, biases, (PAPER_SIDE // mixer["patch_size"]) ** 2)
    side = max(math.isqrt(tokens), 1) * mixer["patch_size"]
    data = {"name": None, "image_size": side, "mean": [mean] * 3, "std": [std] * 3}
    settings = loading.build_settings(
        {"data": data, "model": {"name": "mixer", "activation": layout.activation} | mixer}
    )
    return settings, (side, side, 3), _length(arrays, layout, ["head/bias"], PAPER_CLASSES)


def _length(arrays, layout, names, default):
    """Return the length that most of the arrays of these names have."""
    files = [name for name in map(layout.file_name, names) if name in arrays]
    lengths = Counter(arrays[name].size for name in files)
    return max(lengths.most_common(1)[0][0], 1) if lengths else default


def _check_shapes(path, arrays, layout, size):
    """Refuse a file whose arrays are not all those of this size."""
    found = {kind: names for kind, names in _misfits(arrays, layout, size).items() if names}
    if not found:
        return
    other = _fitting(arrays, layout)
    kinds = "; ".join(f"{kind}: {few(names)}" for kind, names in found.items())
    fix = f"; they fit --size {other}" if other else ""
    raise DataError(f"{path}: its arrays are not those of size {size}: {kinds}{fix}")


def _fitting(arrays, layout):
    """Return the size that the arrays fit; the stem rules out all but one, which is then built."""
    stem = arrays.get(layout.file_name("stem/kernel"), np.zeros(0)).shape
    for key, size in SIZES.items():
        side, hidden_dim = size["patch_size"], size["hidden_dim"]
        if stem == layout.file_shape((side, side, 3, hidden_dim)):
            return None if any(_misfits(arrays, layout, key).values()) else key
    return None


def _misfits(arrays, layout, size):
    with keras.StatelessScope(initialize_variables=False):  # shapes without memory behind them
        weights = build_model(*_plan(arrays, layout, size)).weights
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


def _times(shape):
    return "×".join(map(str, shape)) or "a single value"


def _assign(path, arrays, layout, model):
    for weight in model.weights:
        name = layout.file_name(weight.path)
        weight.assign(layout.ours(_float32(path, name, arrays[name])))


def _float32(path, name, array):
    """Return the array as float32.

    Raises:
        DataError: it holds no floating-point numbers, or some that are not finite.
    """
    if array.dtype.name not in FLOATS:
        raise DataError(f"{path}: {name}: received {array.dtype}, expected {', '.join(FLOATS)}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is caught as infinite
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {name}: holds values that are not finite; download it again")
    return array


def _class_names(labels, classes):
    if labels is None:
        return [f"class {index}" for index in range(classes)]
    try:
        text = Path(labels).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"{labels}: cannot be read: {reason}") from None
    names = [line.strip() for line in text.splitlines()]
    if len(names) != classes:
        raise DataError(f"{labels}: received {len(names)} lines, expected {classes} class names")
    return names
