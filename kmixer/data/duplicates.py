"""Images that stand in a data set twice, to the byte or nearly."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

THUMBNAIL = 8
BLOCK = 2048


@dataclass(frozen=True)
class Duplicates:
    """Counts of duplicates over the training and the test images together.

    Attributes:
        exact: images that are identical to an earlier one.
        exact_across: test images that are identical to a training image.
        near: pairs of different images that are nearly the same.
        near_across: those of them with one image in each split.
        pairs: int `(near, 2)`, the pairs; indices count through train, then test.
        similarity: the correlation from which two images count as nearly the same.
    """

    exact: int
    exact_across: int
    near: int
    near_across: int
    pairs: np.ndarray
    similarity: float

    def counts(self):
        """Return everything but the pairs, as a JSON-able dict."""
        names = ("exact", "exact_across", "near", "near_across", "similarity")
        return {name: getattr(self, name) for name in names}


def find_duplicates(train, test, *, similarity=0.995, progress=None):
    """Count exact and near duplicates.

    Two images are near duplicates if the correlation of their pixels is at least `similarity`;
    candidates are found by the correlation of 8×8 thumbnails, every image against every other.

    Args:
        train: uint8 `(n, height, width, channels)`.
        test: uint8 `(m, height, width, channels)`.
        similarity: least correlation, in (0, 1].
        progress: called with (done, total) blocks.
    """
    images = np.concatenate([train, test])
    digests = np.array([blake2b(image.tobytes(), digest_size=16).digest() for image in images])
    _, first = np.unique(digests, return_index=True)
    across = np.isin(digests[len(train) :], digests[: len(train)]).sum()
    unique = np.sort(first)
    pairs = unique[_near_pairs(images[unique], similarity, progress)]
    crossing = (pairs[:, 0] < len(train)) & (pairs[:, 1] >= len(train))
    return Duplicates(
        len(images) - len(unique), int(across), len(pairs), int(crossing.sum()), pairs, similarity
    )


def _near_pairs(images, similarity, progress):
    """Return the index pairs (i < j) whose pixels correlate, int `(pairs, 2)`."""
    thumbnails = _standardised(_thumbnails(images))
    found = [np.empty((0, 2), np.int64)]
    starts = range(0, len(images), BLOCK)
    for done, start in enumerate(starts, 1):
        block = thumbnails[start : start + BLOCK]
        rows, columns = np.nonzero(block @ thumbnails[start:].T >= similarity)
        keep = columns > rows
        candidates = np.stack([rows[keep], columns[keep]], axis=1) + start
        found.append(candidates[_correlation(images, candidates) >= similarity])
        if progress:
            progress(done, len(starts))
    return np.concatenate(found)


def _correlation(images, pairs):
    pixels = int(np.prod(images.shape[1:]))
    left, right = (_standardised(images[pairs[:, side]].reshape(-1, pixels)) for side in (0, 1))
    return (left * right).sum(axis=1)


def _standardised(vectors):
    """Centre each row and scale it to length 1; constant rows become 0."""
    centred = vectors.astype(np.float32)
    centred -= centred.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(length, 1e-6)


def _thumbnails(images):
    """Average blocks of pixels down to at most 8×8; rows of `(n, pixels)`."""
    count, height, width, _ = images.shape
    rows = np.arange(THUMBNAIL) * height // THUMBNAIL
    columns = np.arange(THUMBNAIL) * width // THUMBNAIL
    sums = [
        np.add.reduceat(
            np.add.reduceat(part.astype(np.float32), np.unique(rows), axis=1),
            np.unique(columns), axis=2,
        )
        for part in np.array_split(images, max(count // BLOCK, 1))
    ]  # fmt: skip
    return np.concatenate(sums).reshape(count, -1)
