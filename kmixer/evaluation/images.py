"""Which images a run is measured on: none of its own data that it was trained on or chosen by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import DataSettings
from ..data import Split, absolute_name, find_source, load_splits
from ..data.asked import check_asked_data, remember_data
from ..data.digests import image_digests
from ..data.sources.arrays import as_split
from ..data.sources.image_folder.labeled import Labeled, load_labeled
from ..errors import DataError, KmixerError
from .class_names import missing_classes, with_classes_of
from .own_data import data_of, load_own

if TYPE_CHECKING:
    from ..data import Dataset
    from ..data.progress import Progress
    from ..runs.run import Run
    from ..runs.seen_images import SeenImages


@dataclass(frozen=True)
class MeasuredImages:
    """Images that a run is measured on.

    Attributes:
        dataset: the name of their data set.
        split_name: `"train"`, `"validation"`, `"test"`, or `"all"` of a folder's images.
        split: the images, labeled by the run's classes.
        notes: what they are and what was left out, for people.
        left_out: how many images were not measured, by why: `trained_on`, `chosen_by`.
        copies: which of them are exact copies of images that the run was trained on or chosen by,
            bool `(n,)`; None: the run did not record its images, or they are its own data set
            without such copies.
    """

    dataset: str
    split_name: str
    split: Split
    notes: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    copies: np.ndarray | None = None


def choose_images(
    run: Run,
    name: str | None = None,
    folder: str | None = None,
    split_name: str | None = None,
    progress: Progress | None = None,
) -> MeasuredImages:
    """Load the images to measure a run on.

    Args:
        run: the `Run`.
        name: of a data set or an image folder; None: its own.
        folder: where prepared data sets lie; default as for the run.
        split_name: `"train"`, `"validation"` or `"test"`; None: the test set of the run's own and
            of named data sets, and all labeled images of another image folder.
        progress: called with (done, total) while images are read.

    Raises:
        KmixerError: they cannot be loaded, are of classes that the run does not know, or it was
            trained on all of them.
    """
    check_available(run, name, folder)
    if is_own(run, name):
        own = load_own(run, folder, progress)
        if split_name in ("train", "validation"):
            return _of_split(own.dataset, split_name, own.notes)
        own.check_test(run)
        measured = _of_split(own.dataset, "test", own.notes, own.left_out)
        return replace(measured, copies=_own_copies(run, measured.split))
    if split_name is None and find_source(name).is_path:
        return _all_of_folder(run, str(name), progress)
    dataset = load_data(run, name, folder, progress)
    measured = _of_split(dataset, split_name or "test", dataset.notes)
    notes = (*measured.notes, *missing_classes(run, measured.split))
    return replace(measured, notes=notes, copies=_copies(run, measured.split))


def given_images(run: Run, images: Any, labels: Any) -> MeasuredImages:
    """Return arrays of images to measure a run on.

    Args:
        run: the `Run`.
        images: uint8, of the shape that it was trained on.
        labels: integers in the order of the run's classes, or their names.

    Raises:
        DataError: they are of another shape, or do not fit together.
    """
    split = as_split(images, labels, run.class_names)
    if list(split.images.shape[1:]) != run.info["input_shape"]:
        raise DataError(
            f"images: received {split.images.shape}, expected (n,"
            f" {', '.join(map(str, run.info['input_shape']))}) as it was trained on"
        )
    notes = tuple(missing_classes(run, split))
    return MeasuredImages("arrays", "all", split, notes, copies=_copies(run, split))


def _of_split(
    dataset: Dataset, name: str, notes: tuple[str, ...], left_out: dict[str, int] | None = None
) -> MeasuredImages:
    split = dataset.splits[name]
    if not len(split):
        raise DataError(f"{dataset.name}: its {name} split holds no images")
    return MeasuredImages(dataset.name, name, split, notes, left_out or {})


def is_own(run: Run, name: str | None) -> bool:
    """Return whether a name means the run's own data set."""
    return name is None or absolute_name(name) == run.settings.data.name


def check_available(run: Run, name: str | None = None, folder: str | None = None) -> None:
    """Refuse before anything slow what surely cannot be loaded; the arguments are `load_data`'s.

    Raises:
        KmixerError: there is no such data set, the run has none and none is named, or its own was
            never named on this machine.
    """
    own = run.settings.data.name
    if name is None and own is None:
        raise DataError(
            f"{run.folder}: its weights were imported without a data set; name one that has its"
            f" classes: kmixer evaluate {run.folder} DATASET"
        )
    if not is_own(run, name):
        source = find_source(name)
        if not source.is_path:  # a folder of any shape is measured
            source.check(str(name))
        remember_data(DataSettings(name=name, dir=folder or run.settings.data.dir))
        return
    try:
        find_source(own)
    except KmixerError as error:
        raise DataError(
            f"{run.folder}: the images of its training are not here ({error}); name others that"
            f" have its classes: kmixer evaluate {run.folder} DATASET"
        ) from None
    if name is not None or (folder and not find_source(own).is_path):
        remember_data(data_of(run, folder))
    check_asked_data(data_of(run, folder), run.folder)


def load_data(
    run: Run,
    name: str | None = None,
    folder: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load the run's own data set with its splits, or another one as the run sees images.

    Where its own images have changed since the training, the splits are those of the training by
    content, and what is new is in the test set.

    Args:
        run: the `Run`.
        name: of another data set.
        folder: where prepared data sets lie; default as for the run.
        progress: called with (done, total) while images are read.

    Raises:
        KmixerError: the data set cannot be loaded, has classes that the run does not know, or the
            run has none and none is named.
    """
    check_available(run, name, folder)
    if is_own(run, name):
        own = load_own(run, folder, progress)
        return (
            replace(own.dataset, notes=(own.changed, *own.dataset.notes))
            if own.changed
            else own.dataset
        )
    shape, data = run.info["input_shape"], run.settings.data
    changes: dict[str, Any] = {
        "name": name, "dir": folder or data.dir, "validation_size": None, "train_per_class": None,
        "classes": None, "drop_duplicates": False, "channels": shape[2],
    }  # fmt: skip
    dataset = load_splits(data.model_copy(update=changes), progress)
    if list(dataset.image_shape) != shape:
        raise DataError(f"{dataset.name}: images of {dataset.image_shape}, expected {shape}")
    return with_classes_of(run, dataset)


def without_seen(run: Run, dataset: Dataset) -> Dataset:
    """Return a data set whose test set holds no image that the run was trained on or chosen by.

    Raises:
        DataError: none is left.
    """
    seen = run.seen_images
    if seen is None or dataset.fingerprint() == run.info.get("data_sha256"):
        return dataset
    known = _known(seen, image_digests(dataset.test.images))
    if not known.any():
        return dataset
    if known.all():
        raise DataError(
            f"{dataset.name}: {run.folder} was trained on, or chosen by, all its"
            f" {len(known):,} test images; name others with --data"
        )
    note = f"{known.sum():,} test images left out that the run was trained on or chosen by"
    test = dataset.test.take(np.flatnonzero(~known))
    return replace(dataset, test=test, notes=(*dataset.notes, note))


def _all_of_folder(run: Run, name: str, progress: Progress | None) -> MeasuredImages:
    """Load all labeled images of a folder, whatever its shape."""
    labeled = load_labeled(name, run.class_names, run.decoding, progress)
    split = Split.joined(list(labeled.parts.values()))
    note = f"{labeled.name}: all {len(split):,} labelled images{_places(labeled)}"
    notes = (note, *labeled.notes, *missing_classes(run, split))
    return MeasuredImages(labeled.name, "all", split, notes, copies=_copies(run, split))


def _places(labeled: Labeled) -> str:
    if not labeled.places:
        return ""
    return f" of its {' and '.join(labeled.places)} folder{'s' * (len(labeled.places) > 1)}"


def _copies(run: Run, split: Split) -> np.ndarray | None:
    seen = run.seen_images
    return None if seen is None else _known(seen, image_digests(split.images))


def _own_copies(run: Run, split: Split) -> np.ndarray | None:
    """Return which images of a folder's own test set are in the training set as well."""
    copies = None if split.files is None else _copies(run, split)
    return copies if copies is not None and copies.any() else None


def _known(seen: SeenImages, digests: np.ndarray) -> np.ndarray:
    return seen.trained_on(digests) | seen.chosen_by(digests)
