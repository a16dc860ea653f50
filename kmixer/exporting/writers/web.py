"""Write a Keras model as a page that classifies images in the browser that opens it."""

import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...evaluation.explanation import token_areas_of
from ...files import atomic
from ...page.assemble import local_page
from ...runs.run import Run
from ..lowering import lower
from ..steps import describe

FILE = "model.html"


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> None:
    """Write `model.html`, the page with the model in it.

    Args:
        model: a Keras model, uint8 images → logits.
        run: the run that it belongs to.
        folder: the folder to write into.
        quantize: `"none"`, or `"float16"`: weights of half the size.
        representative: not used.
    """
    height, width, channels = run.info["input_shape"]
    network, weights = describe(lower(model))
    numbers = np.frombuffer(weights, "<f4").astype("<f2" if quantize == "float16" else "<f4")
    areas = _areas(run)
    about = {
        "name": run.name, "classes": len(run.class_names), "names": list(run.class_names),
        "width": width, "height": height, "channels": channels, "fit": run.settings.data.fit,
        "bytes": numbers.itemsize, "network": network,
        "areas": areas,
        "answers": run.answers and run.answers.model_dump(exclude={"measured"}),
    }  # fmt: skip
    page = local_page(about, pack(numbers))
    atomic.write_text(folder / FILE, page.html)


def _areas(run: Run) -> dict[str, Any] | None:
    """Return the pixels of each row and column of tokens; None: the page can show no heat map."""
    areas, resized = token_areas_of(run), run.settings.data.resize_size
    shape = run.info["input_shape"][:2]
    if areas is None or [areas.height, areas.width] != shape or resized not in (None, areas.height):
        return None
    return {"rows": areas.rows, "columns": areas.columns}


def pack(numbers: np.ndarray) -> str:
    """Return numbers as text, a tenth larger than they are, which `page/weights.js` unpacks.

    The first bytes of all numbers lie together, then the second, and so on: those of signs and
    exponents repeat themselves. Each has a code of its own, as nothing longer than a byte is ever
    repeated; base64 then makes all larger by a third.
    """
    deflate = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    packed = bytearray()
    for plane in numbers.view(np.uint8).reshape(len(numbers), -1).T:
        packed += deflate.compress(plane.tobytes()) + deflate.flush(zlib.Z_FULL_FLUSH)
    return b64encode(packed + deflate.flush()).decode()
