"""Find images that a data set holds twice, exactly or nearly."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from .stored_images import Images, blocks, join, take

THUMBNAIL = 8
BLOCK = 2048  # images that are compared with all others at once, and
MOST_PAIRS = 150_000_000  # pairs: 600 MB


@dataclass(frozen=True)
class Duplicates:
    """Counts of duplicates over the training and the test images together.

    Attributes:
        exact: images that are identical to an earlier one.
        exact_across: test images that are identical to a training image.
        near: pairs of different images that are nearly the same.
        near_across: near pairs with one image in each split.
        pairs: int `(near, 2)`, the pairs; indices count through train, then test.
        similarity: the correlation from which two images count as nearly the same.
    """

    exact: int
    exact_across: int
    near: int
    near_across: int
    pairs: np.ndarray
    similarity: float

    def counts(self) -> dict[str, float]:
        """Return everything but the pairs, as a JSON-able dict."""
        names = ("exact", "exact_across", "near", "near_across", "similarity")
        return {name: getattr(self, name) for name in names}


def find_duplicates(
    train: Images,
    test: Images,
    *,
    similarity: float = 0.995,
    progress: Callable[[int, int], object] | None = None,
) -> Duplicates:
    """Count exact and near duplicates.

    Two images are near duplicates if the correlation of their pixels is at least `similarity`;
    candidates are found by the correlation of 8×8 thumbnails, every image against every other.

    Args:
        train: uint8 `(n, height, width, channels)`.
        test: uint8 `(m, height, width, channels)`.
        similarity: least correlation, in (0, 1].
        progress: called with (done, total) blocks.
    """
    images = join([train, test])
    digests = np.array([blake2b(image.tobytes(), digest_size=16).digest() for image in images])
    _, first = np.unique(digests, return_index=True)
    across = np.isin(digests[len(train) :], digests[: len(train)]).sum()
    unique = np.sort(first)
    pairs = unique[_near_pairs(take(images, unique), similarity, progress)]
    crossing = (pairs[:, 0] < len(train)) & (pairs[:, 1] >= len(train))
    return Duplicates(
        len(images) - len(unique), int(across), len(pairs), int(crossing.sum()), pairs, similarity
    )


def _near_pairs(
    images: Images, similarity: float, progress: Callable[[int, int], object] | None
) -> np.ndarray:
    """Return the index pairs (i < j) whose pixels correlate, int `(pairs, 2)`."""
    thumbnails = _standardized(_thumbnails(images))
    pairs = [np.empty((0, 2), np.int64)]
    size = max(1, min(BLOCK, MOST_PAIRS // max(len(images), 1)))
    starts = range(0, len(images), size)
    for done, start in enumerate(starts, 1):
        block = thumbnails[start : start + size]
        rows, columns = np.nonzero(block @ thumbnails[start:].T >= similarity)
        above_diagonal = columns > rows
        candidates = np.stack([rows[above_diagonal], columns[above_diagonal]], axis=1) + start
        pairs.append(candidates[_correlation(images, candidates) >= similarity])
        if progress:
            progress(done, len(starts))
    return np.concatenate(pairs)


def _correlation(images: Images, pairs: np.ndarray) -> np.ndarray:
    """Return the correlation of the pixels of each pair, float32 `(pairs,)`."""
    pixels = int(np.prod(images.shape[1:]))
    left, right = (_standardized(images[pairs[:, side]].reshape(-1, pixels)) for side in (0, 1))
    return (left * right).sum(axis=1)


def _standardized(vectors: np.ndarray) -> np.ndarray:
    """Center each row and scale it to length 1; constant rows become 0."""
    centered = vectors.astype(np.float32)
    centered -= centered.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centered, axis=1, keepdims=True)
    return centered / np.maximum(length, 1e-6)


def _thumbnails(images: Images) -> np.ndarray:
    """Average blocks of pixels down to at most 8×8; float32 `(images, pixels)`."""
    count, height, width, _ = images.shape
    rows = np.unique(np.arange(THUMBNAIL) * height // THUMBNAIL)
    columns = np.unique(np.arange(THUMBNAIL) * width // THUMBNAIL)
    sums = [
        np.add.reduceat(np.add.reduceat(part.astype(np.float32), rows, axis=1), columns, axis=2)
        for part in blocks(images)
    ]
    return np.concatenate(sums).reshape(count, -1)
