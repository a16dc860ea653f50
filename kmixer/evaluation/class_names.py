"""The classes of other images, matched by name with those that a run knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..data import Dataset, Split
from ..data.sources.image_folder.labeled import unknown_classes

if TYPE_CHECKING:
    from ..runs.run import Run

MOST_NAMED = 5  # classes in a line


def with_classes_of(run: Run, dataset: Dataset) -> Dataset:
    """Return a data set labeled by the run's classes, which are matched by name.

    Raises:
        DataError: it has a class that the run does not know. A run of chosen classes
            (`data.classes`) leaves the others out, and a note says so.
    """
    names = run.class_names
    if dataset.class_names == names:
        return dataset
    unknown = [name for name in dataset.class_names if name not in names]
    if unknown and not run.settings.data.classes:
        raise unknown_classes(dataset.name, unknown, names)
    new_labels = np.array(
        [names.index(name) if name in names else -1 for name in dataset.class_names], np.int32
    )
    left_out = f"classes left out that the run was not trained on: {_few(unknown)}"
    return replace(
        dataset,
        class_names=names,
        train=dataset.train.relabeled(new_labels),
        test=dataset.test.relabeled(new_labels),
        validation=dataset.validation and dataset.validation.relabeled(new_labels),
        notes=(*dataset.notes, left_out) if unknown else dataset.notes,
    )


def missing_classes(run: Run, split: Split) -> list[str]:
    """Return a line on the run's classes that have no image, if there are such."""
    counts = np.bincount(split.labels, minlength=len(run.class_names))
    missing = [name for name, count in zip(run.class_names, counts, strict=True) if not count]
    if not missing:
        return []
    return [f"no images of {len(missing)} of the run's {len(counts)} classes: {_few(missing)}"]


def _few(names: Sequence[str]) -> str:
    more = f", … ({len(names) - MOST_NAMED} more)" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more
