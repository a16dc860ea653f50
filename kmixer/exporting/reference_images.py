"""The images that an exported file is held against its run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import KmixerError, describe
from ..evaluation.images import check_available, load_data, without_seen

if TYPE_CHECKING:
    from ..data import Dataset
    from ..runs.run import Run

NOT_HERE = "its own images are not here"
NOT_USED = "its own images cannot be used"


def load_reference_images(
    run: Run, data: str | None, data_dir: str | None, say: Callable[[str], object]
) -> tuple[Dataset | None, str]:
    """Load the images to verify an export on.

    Args:
        run: the `Run`.
        data: the name of a data set of its classes; None: its own.
        data_dir: where prepared data sets lie; None: as for the run.
        say: called with a line on what was noticed.

    Returns:
        (the data set, ""), or (None, in words why there is none).

    Raises:
        KmixerError: images that are named cannot be loaded.
    """
    if data is None and run.settings.data.name is None:
        return None, ""  # imported weights: there may be no images that belong to them
    missing = NOT_HERE
    try:
        check_available(run, data, data_dir)
        missing = NOT_USED
        dataset = without_seen(run, load_data(run, data, data_dir))
    except KmixerError as error:
        if data or data_dir:
            raise
        why = run.settings.data.name if missing == NOT_HERE else describe(error)
        say(f"{missing}: it is verified on Fashion-MNIST, scaled; --data DIR names others ({why})")
        return None, missing
    for note in dataset.notes:
        say(f"note: {note}")
    return dataset, ""
