"""Draw images with every class in proportion; a class with one image keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, KmixerError, few

MOST_NAMES = 5


@dataclass(frozen=True)
class Draw:
    """How many images are drawn.

    Attributes:
        count: of the images.
        raised: draw at least one of each class, where `count` is fewer.
    """

    count: int
    raised: bool = False

    def of(self, classes: int) -> int:
        """Return how many are drawn from so many classes."""
        return max(self.count, classes) if self.raised else self.count


def stratified(
    labels: np.ndarray,
    draw: Draw,
    seed: int,
    class_names: Sequence[str],
    setting: str,
    error: type[KmixerError] = DataError,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw indices with every class in proportion.

    Where a class has one image, it is left, and the others are drawn from.

    Args:
        labels: int32 `(n,)`.
        draw: how many.
        seed: of the draw.
        class_names: by label.
        setting: what asked for it, for the error's message.
        error: the class to raise.

    Returns:
        (the indices that are left, the drawn indices), both sorted.

    Raises:
        error: no class has two images, or the draw has too few or too many.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    for least in (1, 2):
        pool = np.flatnonzero(counts[labels] >= least)
        if _fits(labels[pool], draw):
            drawn = pool[_draw(labels[pool], draw, seed)]
            return np.setdiff1d(np.arange(len(labels)), drawn), drawn
    raise error(f"{setting}: {_problem(counts, draw, class_names)}")


def absent_classes(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Return the names of the classes that no label is of."""
    counts = np.bincount(labels, minlength=len(class_names))
    return [name for name, count in zip(class_names, counts, strict=True) if not count]


def absent_note(split: str, labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Return a note that names the classes of which a split has no image; none if it has all."""
    absent = absent_classes(labels, class_names)
    names = few([repr(name) for name in absent], MOST_NAMES)
    return [f"no images in the {split} set of: {names}"] if absent else []


def _fits(labels: np.ndarray, draw: Draw) -> bool:
    """Return whether each class can have an image on either side."""
    if not len(labels):
        return False
    counts = np.unique(labels, return_counts=True)[1]
    classes = len(counts)
    return bool(counts.min() >= 2 and classes <= draw.of(classes) <= len(labels) - classes)


def _draw(labels: np.ndarray, draw: Draw, seed: int) -> np.ndarray:
    """Return what scikit-learn's `train_test_split` draws, whose import takes half a second."""
    classes, counts = np.unique(labels, return_counts=True)
    generator, count = np.random.RandomState(seed), draw.of(len(classes))
    left = _shares(counts, len(labels) - count, generator)
    taken = _shares(counts - left, count, generator)
    drawn = []
    for label, first, number in zip(classes, left, taken, strict=True):
        members = np.flatnonzero(labels == label)
        drawn.append(members[generator.permutation(len(members))][first : first + number])
    return np.sort(np.concatenate(drawn))


def _shares(counts: np.ndarray, total: int, generator: np.random.RandomState) -> np.ndarray:
    """Spread `total` over classes in proportion to their images; ties are drawn."""
    exact = counts / counts.sum() * total
    shares = np.floor(exact)
    rest = exact - shares
    for value in np.unique(rest)[::-1]:  # what rounding down left goes to the largest rests
        missing = int(total - shares.sum())
        if missing <= 0:
            break
        tied = np.flatnonzero(rest == value)
        shares[generator.choice(tied, min(len(tied), missing), replace=False)] += 1
    return shares.astype(int)


def _problem(counts: np.ndarray, draw: Draw, class_names: Sequence[str]) -> str:
    drawable = counts >= 2
    asked = drawable if drawable.any() else counts > 0
    smallest = int(np.argmin(np.where(asked, counts, counts.max() + 1)))
    name = class_names[smallest]
    if not drawable.any():
        return (
            f"each class has one image, such as {name!r}; expected at least 2 of a class to draw"
            " one, and 3 to draw one for the test and one for the validation set"
        )
    classes, total = int(drawable.sum()), int(counts[drawable].sum())
    return (
        f"received {draw.of(classes):,} images to draw, expected {classes:,} to"
        f" {total - classes:,}: at least one of each of {classes:,} classes, and one of each left"
        f" (the smallest, {name!r}, has {counts[smallest]:,})"
    )
