"""A look at a folder before its images are decoded: how many there are, and whether in color."""

from dataclasses import dataclass
from pathlib import Path

from ..source import LoadOptions
from .layout import find_layout
from .listing import list_images


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        images: that can be trained on, before a test or validation set is drawn from them.
        gray: whether no image has colors.
    """

    images: int
    gray: bool


def survey(folder: str | Path, options: LoadOptions | None = None) -> Survey:
    """Look at an image folder.

    Args:
        folder: see `load`.
        options: `progress` is called while the files are looked at.

    Raises:
        DataError: see `load`.
    """
    listings = list_images(find_layout(Path(folder)), options or LoadOptions())
    training = next(listing for listing in listings if listing.split == "train")
    return Survey(len(training.paths), all(listing.gray for listing in listings))
