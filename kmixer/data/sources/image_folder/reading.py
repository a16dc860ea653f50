"""Decode a folder's images into one array."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ....errors import DataError
from ...dataset import Split
from ...decode import Decoding, decode
from ..source import Progress
from .listing import Listing, no_images


def decode_all(listing: Listing, decoding: Decoding, progress: Progress | None) -> Split:
    """Decode the images of a listing, some in parallel, into one array."""
    total = len(listing.paths)
    images = np.empty((total, decoding.height, decoding.width, decoding.channels), np.uint8)
    good = np.ones(total, bool)

    def decode_into(index: int) -> None:
        try:
            images[index] = decode(listing.paths[index], decoding)
        except DataError:
            good[index] = False

    with ThreadPoolExecutor() as pool:
        for done, _ in enumerate(pool.map(decode_into, range(total)), 1):
            if progress:
                progress(done, total)
    labels = np.asarray(listing.labels, np.int32)
    if good.all():  # the usual case: no second copy of all pixels
        return Split(images, labels)
    _note_undecodable(listing, labels, good)
    return Split(images[good], labels[good])


def _note_undecodable(listing: Listing, labels: np.ndarray, good: np.ndarray) -> None:
    """Note how many images could not be decoded; refuse a class that has no other."""
    listing.notes.append(f"{(~good).sum()} images skipped (truncated, damaged, or with NaN pixels)")
    for label in np.setdiff1d(labels, labels[good]):
        first = listing.paths[int(np.flatnonzero(labels == label)[0])]
        raise no_images(first.parent)
