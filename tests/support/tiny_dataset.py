"""Two easy classes of gray 8×8 images, bright above or bright below, random from a fixed seed."""

import numpy as np
from PIL import Image


def write_images(root):
    """Write 60 training and 20 test images a class under `root`, the same ones each time."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 20)):
        for label, rows in (("above", slice(0, 4)), ("below", slice(4, 8))):
            folder = root / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 80, (8, 8), dtype=np.uint8)
                pixels[rows] += 120
                Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return root
