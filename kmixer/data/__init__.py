"""A name or a folder → images, labels, class names, splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.image_size import ImageSize, read_image_size
from ..errors import DataError, KmixerError, SettingsError, nearest
from .copies import held_out_splits, without_copies
from .dataset import Dataset, Split
from .sources import SOURCES, LoadOptions, Source
from .sources.arrays import from_arrays

if TYPE_CHECKING:
    from ..config import DataSettings
    from .progress import Progress

__all__ = [
    "SOURCES",
    "Dataset",
    "Source",
    "Split",
    "absolute_name",
    "check_name",
    "cut_splits",
    "find_source",
    "from_arrays",
    "load",
    "load_splits",
    "tidy_name",
]


def load(name: str | None, folder: str | Path | None = None, **options: Any) -> Dataset:
    """Load a data set.

    Args:
        name: a name of `kmixer data list`, `tfds:NAME`, or the path of an image folder.
        folder: where TFDS and `kmixer data import` keep prepared data sets.
        options: the other fields of `LoadOptions`, such as `image_size`.

    Returns:
        A `Dataset` with uint8 images; `validation` is not cut yet.

    Raises:
        SettingsError: there is no data set of this name, or not in this size.
        DataError: it is damaged or cannot be downloaded.
    """
    options["image_size"] = _image_size(options.get("image_size"))
    source = find_source(name)
    notes = _passed_over(source, str(name))
    try:
        dataset = source.load(str(name), LoadOptions(folder, **options))
    except KmixerError as error:
        raise type(error)("; ".join([str(error), *notes])) from error
    except MemoryError:
        raise DataError(
            f"{name}: its images do not fit into memory; read them smaller with --image-size"
            " (data.image_size)"
        ) from None
    return replace(dataset, notes=(*notes, *dataset.notes))


def _passed_over(source: Source, name: str) -> list[str]:
    """Return a note on a folder that has the name of a data set, which is taken instead."""
    if source.is_path or not Path(name).is_dir():
        return []
    return [f"{name} is the data set of that name; the folder {name} that is here is ./{name}"]


def _image_size(value: Any) -> ImageSize | None:
    """Return an image size as settings have it, however it is written."""
    try:
        return None if value is None else read_image_size(value)
    except ValueError as error:
        raise SettingsError(f"image_size: {error}") from None


def load_splits(data: DataSettings, progress: Progress | None = None) -> Dataset:
    """Load the data set of these settings, select its classes, and cut the validation split.

    Args:
        data: the settings.
        progress: called with (done, total) while images are read.
    """
    return cut_splits(load(data.name, data.dir, **_load_options(data), progress=progress), data)


def cut_splits(dataset: Dataset, data: DataSettings) -> Dataset:
    """Select a data set's classes and channels, and cut the validation split.

    Args:
        dataset: as `load` returns it.
        data: the settings.
    """
    if data.channels:
        dataset = dataset.with_channels(data.channels)
    if data.classes:
        dataset = dataset.with_classes(data.classes)
    if data.folds:
        dataset = dataset.with_fold(data.fold, data.folds, data.split_seed)
    else:
        dataset = dataset.with_validation(data.validation_size, data.split_seed)
    if data.train_per_class:
        dataset = dataset.with_train_per_class(data.train_per_class, data.split_seed)
    if data.train_on_validation:
        dataset = dataset.with_validation_in_train()
    return without_copies(dataset, held_out_splits(data)) if data.drop_duplicates else dataset


def _load_options(data: DataSettings) -> dict[str, Any]:
    keys = (
        "image_size", "resize_size", "largest_side", "channels", "fit", "white_level", "cache",
        "in_memory",
    )  # fmt: skip
    return {key: getattr(data, key) for key in keys}


def check_name(name: str | None) -> None:
    """Refuse a name that no data set has, before anything slow happens.

    Raises:
        SettingsError: no data set and no folder has this name, or it is None.
        DataError: the folder has no class folders with images.
    """
    find_source(name).check(str(name))


def find_source(name: str | None) -> Source:
    """Return the source that loads the data set of this name.

    Raises:
        SettingsError: there is none, or the name is None.
    """
    if name is None:
        raise SettingsError("data.name: received null, expected a data set or an image folder")
    source = _first_source(name)
    if source is None:
        known = nearest(name, [source.label for source in SOURCES if source.has_fixed_name])
        raise SettingsError(f"data set {name!r}: no such name and no such folder{known}")
    return source


def tidy_name(name: str) -> str:
    """Return the shortest form of a folder's path (`photos/` → `photos`); other names as they are.

    A path that would become the name of another data set, such as `./mnist`, stays as it is.
    """
    source, tidy = _first_source(name), str(Path(name))
    return tidy if source and source.is_path and _first_source(tidy) is source else name


def absolute_name(name: str) -> str:
    """Return a name that means the same in every working folder: a path becomes absolute.

    A name that no source accepts is taken for a path.
    """
    source = _first_source(name)
    return str(Path(name).resolve()) if source is None or source.is_path else name


def _first_source(name: str) -> Source | None:
    return next((source for source in SOURCES if source.accepts(name)), None)
