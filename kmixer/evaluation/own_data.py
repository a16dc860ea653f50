"""A run's own images: where they have changed, the splits of the training, found by content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..data import Dataset, Split, find_source, load_splits
from ..data.asked import check_asked_data
from ..data.digests import image_digests
from ..data.sources.image_folder.labeled import load_labeled
from ..errors import DataError, KmixerError
from .class_names import missing_classes, with_classes_of

if TYPE_CHECKING:
    from ..config import DataSettings
    from ..data.progress import Progress
    from ..runs.run import Run
    from ..runs.seen_images import SeenImages


_UNRECORDED = (
    "{} has changed since the training, and the run did not record its images: those measured may"
    " be ones that it was trained on"
)


@dataclass(frozen=True)
class OwnData:
    """A run's own data set.

    Attributes:
        dataset: the `Dataset`, labeled by the run's classes.
        changed: what has changed since the training, in a line; empty where nothing has.
        left_out: where it has changed, how many images its test set would hold, but for those that
            the run was `trained_on` and `chosen_by`.
    """

    dataset: Dataset
    changed: str = ""
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has changed, and what was skipped or decided while it was read, for people."""
        return (self.changed, *self.dataset.notes) if self.changed else self.dataset.notes

    def check_test(self, run: Run) -> None:
        """Refuse to measure on changed data of which the run has seen every image.

        Raises:
            DataError: see above.
        """
        if not len(self.dataset.test):
            raise DataError(
                f"{self.dataset.name} has changed since the training: {run.folder} was trained on,"
                f" or chosen by, all its {sum(self.left_out.values()):,} images; name others:"
                f" kmixer evaluate {run.folder} DATASET"
            )


def data_of(run: Run, folder: str | None = None) -> DataSettings:
    """Return the settings of a run's own data set; the arguments are `load_own`'s."""
    return run.settings.data.model_copy(update={"dir": folder or run.settings.data.dir})


def load_own(run: Run, folder: str | None = None, progress: Progress | None = None) -> OwnData:
    """Load a run's own data set; where it has changed, with the splits of the training.

    Args:
        run: the `Run`.
        folder: where prepared data sets lie; default as for the run.
        progress: called with (done, total) while images are read.

    Raises:
        KmixerError: it cannot be loaded, has classes that the run does not know, or was never named
            on this machine.
    """
    data = data_of(run, folder)
    check_asked_data(data, run.folder)
    in_folder = find_source(data.name).is_path
    try:
        dataset = load_splits(data, progress)
    except KmixerError:  # perhaps too little is left for the splits of the training
        if not in_folder or (seen := run.seen_images) is None:
            raise
    else:
        if run.info.get("data_sha256") in (None, dataset.fingerprint()):
            return OwnData(with_classes_of(run, dataset))
        if (seen := run.seen_images) is None:
            return OwnData(with_classes_of(run, dataset), _UNRECORDED.format(dataset.name))
    if in_folder:
        labeled = load_labeled(str(data.name), run.class_names, run.decoding, progress)
        return _split_by_content(run, seen, labeled.name, labeled.parts, labeled.notes)
    dataset = with_classes_of(run, dataset)
    return _split_by_content(run, seen, dataset.name, dataset.splits, dataset.notes)


def _split_by_content(
    run: Run, seen: SeenImages, name: str, parts: dict[str, Split], notes: tuple[str, ...]
) -> OwnData:
    """Split changed images as the training did, by what they are; what is new is tested on."""
    everything = Split.joined(list(parts.values()))
    candidates = parts.get("test", everything)
    digests, all_digests = (image_digests(split.images) for split in (candidates, everything))
    trained_on, chosen_by = seen.trained_on(digests), seen.chosen_by(digests)
    unseen = np.flatnonzero(~(trained_on | chosen_by))
    old = int(seen.tested_on(digests[unseen]).sum())
    left_out = {"trained_on": int(trained_on.sum()), "chosen_by": int(chosen_by.sum())}
    changed = (
        f"{name} has changed since the training; its test set is {old:,} of the training's"
        f" {len(seen.test):,} test images and {len(unseen) - old:,} that are new; left out:"
        f" {left_out['trained_on']:,} that it was trained on, {left_out['chosen_by']:,} that chose"
        " its epoch"
    )
    test = candidates.take(unseen)
    dataset = Dataset(
        name,
        str(run.settings.data.name),
        run.class_names,
        train=everything.take(np.flatnonzero(seen.trained_on(all_digests))),
        validation=everything.take(np.flatnonzero(np.isin(all_digests, seen.validation))),
        test=test,
        notes=(*notes, *missing_classes(run, test)),
    )
    return OwnData(dataset, changed, left_out)
