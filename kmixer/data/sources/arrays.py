"""Images and labels that are given as arrays, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import DataError
from ..dataset import Dataset, Split
from ..stratified import Draw, stratified
from .source import LoadOptions, Source

NAME = "arrays"
TEST_SHARE = 0.1  # of the images, where no test images are given
CHANNELS = (1, 3)


def from_arrays(
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Make a data set of arrays.

    Args:
        train: (images, labels): uint8 `(n, height, width)` or `(n, height, width, channels)` of
            gray (1 channel) or RGB (3) images, and integers `(n,)` from 0, or names of classes.
        test: the same, of the test images; None: a tenth of the training images, stratified.
        validation: the same; None: it is cut from the training images, as of any data set.
        class_names: in the order of the labels; None: `class 0`, `class 1`, …, or the labels'
            names, sorted.

    Raises:
        DataError: the arrays do not fit together, or are none of these.

    Example:
        >>> import numpy as np
        >>> images = np.zeros((20, 8, 8), np.uint8)
        >>> from kmixer.data import from_arrays
        >>> from_arrays((images, ["cat", "dog"] * 10)).class_names
        ('cat', 'dog')
    """
    names = tuple(class_names) if class_names else _class_names(train[1])
    splits = {
        name: as_split(*pair, names, name)
        for name, pair in {"train": train, "test": test, "validation": validation}.items()
        if pair is not None
    }
    shapes = {name: split.images.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"images: received shapes {shapes}, expected the same of each split")
    notes = []
    if test is None:
        draw = Draw(round(TEST_SHARE * len(splits["train"])), raised=True)
        rest, drawn = stratified(splits["train"].labels, draw, 0, names, "the test images")
        splits |= {"test": splits["train"].take(drawn), "train": splits["train"].take(rest)}
        notes.append(
            f"no test images given: {len(drawn):,} drawn from the others (stratified, seed 0)"
        )
    return Dataset(
        NAME, "arrays given in Python", names, splits["train"], splits["test"],
        splits.get("validation"), notes=tuple(notes),
    )  # fmt: skip


def as_split(images: Any, labels: Any, class_names: Sequence[str], what: str = "images") -> Split:
    """Return images and their labels as a split.

    Args:
        images: see `from_arrays`.
        labels: see `from_arrays`.
        class_names: in the order of the labels.
        what: names them in an error.

    Raises:
        DataError: see `from_arrays`.
    """
    pixels = _pixels(images, what)
    numbers = _numbers(labels, class_names, what)
    if len(pixels) != len(numbers) or not len(pixels):
        raise DataError(
            f"{what}: received {len(pixels):,} images and {len(numbers):,} labels, expected a label"
            " for each image"
        )
    return Split(pixels, numbers)


def _pixels(images: Any, what: str) -> np.ndarray:
    try:
        pixels = np.asarray(images)
    except ValueError as error:  # such as rows of several lengths
        raise DataError(f"{what}: {error}; expected uint8 (n, height, width, channels)") from None
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in CHANNELS:
        raise DataError(
            f"{what}: received images of {pixels.dtype} {pixels.shape}, expected uint8, from 0 to"
            " 255, (n, height, width) or (n, height, width, channels) with 1 or 3 channels"
        )
    return pixels


def _class_names(labels: Any) -> tuple[str, ...]:
    """Return the names of classes that are named by nobody."""
    array = np.asarray(labels)
    if array.dtype.kind in "US":
        return tuple(sorted({str(name) for name in array.tolist()}))
    largest = int(array.max()) if array.size and array.dtype.kind in "iu" else 0
    return tuple(f"class {number}" for number in range(largest + 1))


def _numbers(labels: Any, class_names: Sequence[str], what: str) -> np.ndarray:
    array = np.asarray(labels)
    if array.dtype.kind in "US" and array.ndim == 1:
        order = {name: number for number, name in enumerate(class_names)}
        unknown = sorted({str(name) for name in array.tolist()} - set(order))
        if unknown:
            raise DataError(f"{what}: received the label {unknown[0]!r}, which is no class")
        return np.array([order[str(name)] for name in array.tolist()], np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"{what}: received labels of {array.dtype} {array.shape}, expected integers (n,) or the"
            " names of classes"
        )
    if array.size and not 0 <= array.min() <= array.max() < len(class_names):
        raise DataError(
            f"{what}: received labels from {array.min()} to {array.max()}, expected 0 to"
            f" {len(class_names) - 1} for {len(class_names)} classes"
        )
    return array.astype(np.int32)


def _not_kept(name: str, options: LoadOptions | None = None) -> Any:
    raise DataError(
        "arrays: images that were given in Python are not kept; give them again:"
        " run.evaluate((images, labels)), kmixer.resume(run, data=(images, labels))"
    )


SOURCE = Source(
    "arrays", "(images, labels) from Python", _not_kept,
    recognizes=lambda name: name == NAME, is_kept=False,
)  # fmt: skip
