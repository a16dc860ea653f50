"""A folder of many small JPEGs: gradients of random colors, a class for each direction."""

import io

import numpy as np
from PIL import Image

CLASSES = 10
SPLITS = {"train": 0.9, "test": 0.1}


def write_large_folder(root, count, side=64):
    """Write `count` JPEGs in ten classes under `root`, the same ones each time.

    Args:
        root: the folder to make.
        count: of all images.
        side: of each, in pixels.
    """
    generator = np.random.default_rng(0)
    across, down = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    for label in range(CLASSES):
        angle = np.pi * label / CLASSES
        slope = (across * np.cos(angle) + down * np.sin(angle))[..., None]
        for split, share in SPLITS.items():
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(round(share * count / CLASSES)):
                first, second = generator.integers(0, 256, (2, 3))
                pixels = first * (1 - slope) + second * slope
                content = io.BytesIO()
                Image.fromarray(pixels.astype(np.uint8)).save(content, "JPEG", quality=85)
                (folder / f"{index:06}.jpg").write_bytes(content.getvalue())
    return root
