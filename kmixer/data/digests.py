"""Images told apart by their content, whatever their names and places."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from .stored_images import Images

if TYPE_CHECKING:
    from .dataset import Dataset

DIGEST_BYTES = 8  # of a million images, two that differ share a digest with a chance of 3 in 10⁸

Digests = dict[str, np.ndarray]  # of each split, by its name


def image_digests(images: Images) -> np.ndarray:
    """Return a number for each image that only its exact copies share.

    Args:
        images: uint8 `(n, height, width, channels)`.

    Returns:
        uint64 `(n,)`: BLAKE2b of the pixels, not of shape or label.
    """
    rows = (np.ascontiguousarray(image).data for image in images)
    digests = b"".join(blake2b(row, digest_size=DIGEST_BYTES).digest() for row in rows)
    return np.frombuffer(digests, np.uint64)


def split_digests(dataset: Dataset) -> Digests:
    """Return the digests of all images of a data set, by split."""
    return {name: image_digests(split.images) for name, split in dataset.splits.items()}
