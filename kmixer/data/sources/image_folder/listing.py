"""The readable images of a folder, described without being decoded."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ....errors import DataError, file_problem
from ...decode import ImageFacts, describe, is_image


@dataclass
class Listing:
    """The readable images of one tree, and notes on what was skipped."""

    paths: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    gray: bool = True
    notes: list[str] = field(default_factory=list)


def list_images(tree: Path, class_names: tuple[str, ...]) -> Listing:
    """Describe the images of a tree, in parallel."""
    listing, skipped = Listing(), Counter[str]()
    with ThreadPoolExecutor() as pool:
        for label, name in enumerate(class_names):
            files = _image_paths(tree / name, skipped)
            for path, facts in zip(files, pool.map(try_describe, files), strict=True):
                _add(listing, path, label, facts, skipped)
            if label not in listing.labels[-1:]:
                raise no_images(tree / name)
    listing.notes += [f"{tree}: {count} {reason}" for reason, count in sorted(skipped.items())]
    return listing


def _image_paths(folder: Path, skipped: Counter[str]) -> list[Path]:
    """Return the files below a folder that are named like images; count the others."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {file_problem(error)}") from None

    walk = os.walk(folder, onerror=refuse)
    files = sorted(Path(root) / name for root, _, names in walk for name in names)
    images = [path for path in files if is_image(path)]
    if len(images) < len(files):
        skipped["files skipped (no image suffix)"] += len(files) - len(images)
    return images


def try_describe(path: Path) -> ImageFacts | None:
    """Describe an image file; None where it cannot be read."""
    try:
        return describe(path)
    except DataError:
        return None


def _add(
    listing: Listing, path: Path, label: int, facts: ImageFacts | None, skipped: Counter[str]
) -> None:
    if facts is None:
        skipped["images skipped (unreadable or damaged)"] += 1
        return
    if facts.frames > 1:
        skipped["animated images, first frame used"] += 1
    listing.paths.append(path)
    listing.labels.append(label)
    listing.sizes.append(facts.size)
    listing.gray &= facts.gray


def no_images(folder: Path) -> DataError:
    """Return the error for a class folder without a readable image."""
    return DataError(f"{folder}: no readable images in this class folder")
