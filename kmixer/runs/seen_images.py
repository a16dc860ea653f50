"""Which images a run was trained on and chosen by, known by their content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RunError, file_problem
from ..files import atomic
from ..files.npz import read_arrays

if TYPE_CHECKING:
    from ..data.digests import Digests

SEEN_FILE = "seen_images.npz"
MOST_BYTES = 200_000_000  # the digests of 25 million images
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SeenImages:
    """The digests of a run's images, uint64 `(n,)` each; see `kmixer.data.digests`.

    Attributes:
        train: it was trained on them.
        validation: its best epoch was chosen by them.
        test: it was measured on them when its training ended.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def trained_on(self, digests: np.ndarray) -> np.ndarray:
        """Return which of the images it was trained on, bool `(n,)`."""
        return np.isin(digests, self.train)

    def chosen_by(self, digests: np.ndarray) -> np.ndarray:
        """Return which of the images chose its epoch, and were not trained on, bool `(n,)`."""
        return np.isin(digests, self.validation) & ~self.trained_on(digests)

    def tested_on(self, digests: np.ndarray) -> np.ndarray:
        """Return which of the images were in its test set, bool `(n,)`."""
        return np.isin(digests, self.test)


def write_seen_images(folder: Path, digests: Digests) -> None:
    """Write the digests of a run's images, by split, into its folder."""
    with atomic.replacing(folder / SEEN_FILE) as temporary:
        np.savez(temporary, allow_pickle=False, **digests)


def read_seen_images(folder: Path) -> SeenImages | None:
    """Read a run folder's digests; None in a run of a kmixer that did not write them yet.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / SEEN_FILE
    if not path.is_file():
        return None
    try:
        arrays = read_arrays(path, MOST_BYTES)
        seen = SeenImages(*(arrays[name] for name in SPLITS))
        if any(arrays[name].dtype != np.uint64 or arrays[name].ndim != 1 for name in SPLITS):
            raise ValueError("expected rows of 64-bit numbers")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {file_problem(error)}") from None
    except KeyError as error:
        raise RunError(f"{path}: damaged: it holds no array {error}") from None
    except ValueError as error:
        raise RunError(f"{path}: {error}") from None
    return seen


def seen_by_start(start: str | Path, digests: Digests) -> list[str]:
    """Return a line on the test images that the run of a fine-tuning's start has seen, if any.

    Args:
        start: the folder of the run to start from; a start by name has no record.
        digests: of the images to fine-tune on.

    Raises:
        RunError: the record is damaged.
    """
    seen = read_seen_images(Path(start))
    if seen is None:
        return []
    count = int((seen.trained_on(digests["test"]) | seen.chosen_by(digests["test"])).sum())
    if not count:
        return []
    return [
        f"{count:,} of {len(digests['test']):,} test images were seen before: {start}, which this"
        " starts from, was trained on or chosen by them"
    ]
