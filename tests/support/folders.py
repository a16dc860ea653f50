"""Folders of tiny images, as people have them."""

import os
from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path, seed=0):
    """Write an 8×8 picture, of random colors."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_classes(folder, *names, count=8):
    """Write class folders with as many images each."""
    for label, name in enumerate(names):
        for number in range(count):
            write_image(Path(folder) / name / f"{number}.png", seed=1000 * label + number)
    return Path(folder)


def write_files(folder, *names, text="x"):
    """Write files with a few letters in them."""
    for name in names:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def raw(path, name):
    """Return a path in a folder whose name is these bytes."""
    return Path(os.fsdecode(os.fsencode(path) + b"/" + name))
