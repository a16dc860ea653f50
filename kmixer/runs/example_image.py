"""An image beside a model, on which the lines of its card can be tried as they stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..files import atomic

EXAMPLE_FILE = "example.png"


def write_example(folder: Path, pixels: np.ndarray) -> None:
    """Write one image that a model takes, of the size that it was trained on.

    Args:
        folder: of the run or the export.
        pixels: uint8 `(height, width, channels)`, gray or RGB.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    with atomic.replacing(folder / EXAMPLE_FILE) as temporary:
        image.save(temporary, format="PNG")
