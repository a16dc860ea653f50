"""What in a folder is not read, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import few
from ...dataset import SkippedFile
from .names import printable

HIDDEN = "hidden, or left by a system or a tool"
OWN_OUTPUT = "kmixer's own output"
BROKEN_LINK = "broken link"
LINK_BACK = "link to a folder that is read elsewhere, or that holds this one"
NOT_A_FILE = "neither file nor folder"
EMPTY = "empty"
NO_IMAGES = "no images in it"
STRAY = "image outside the class folders"
NO_ROLE = "neither training, validation nor test folder"
DAMAGED = "unreadable or damaged"
MOST_REASONS = 8  # in notes


@dataclass(frozen=True)
class Skip:
    """A file or folder that is not read.

    Attributes:
        path: where it lies.
        kind: why; what is skipped for the same reason is counted together.
        detail: more about this one.
        is_folder: whether it is a folder, with all that is in it.
    """

    path: Path
    kind: str
    detail: str = ""
    is_folder: bool = False

    def relative_to(self, folder: Path) -> SkippedFile:
        """Return it for people, with its path relative to the data set's folder."""
        reason = f"{self.kind}: {self.detail}" if self.detail else self.kind
        return SkippedFile(self.name(folder), reason)

    def name(self, folder: Path) -> str:
        """Return its path relative to a folder, safe to print; a folder's ends with a slash."""
        return relative_name(self.path, folder) + "/" * self.is_folder


def relative_name(path: Path, folder: Path) -> str:
    """Return a path relative to a folder above it, with slashes, safe to print."""
    return printable("/".join(path.parts[len(folder.parts) :]))


def skip_notes(skips: Iterable[Skip], folder: Path) -> list[str]:
    """Return a line for each reason: how many were skipped, and the first of their names."""
    by_kind: dict[str, list[Skip]] = {}
    for skip in skips:
        by_kind.setdefault(skip.kind, []).append(skip)
    groups = sorted(by_kind.items(), key=lambda group: -len(group[1]))
    notes = [_note(kind, group, folder) for kind, group in groups[:MOST_REASONS]]
    if rest := groups[MOST_REASONS:]:
        count = sum(len(group) for _, group in rest)
        notes.append(f"{count:,} more skipped, for {len(rest)} other reasons")
    return notes


def _note(kind: str, group: list[Skip], folder: Path) -> str:
    folders = sum(skip.is_folder for skip in group)
    noun = "images" if kind in (DAMAGED, STRAY) else "files"
    if folders:
        noun = "folders" if folders == len(group) else "files and folders"
    if len(group) == 1:
        noun = noun.removesuffix("s")
    told = few([_told(skip, folder) for skip in group])
    return f"{len(group):,} {noun} skipped ({kind}): {told}{first_reason(group)}"


def first_reason(group: Sequence[Skip]) -> str:
    """Return what the first of damaged files lacks, in parentheses; nothing of other files."""
    first = group[0]
    if first.kind != DAMAGED or not first.detail:
        return ""
    which = "the first: " if len(group) > 1 else ""
    return f" ({which}{first.detail.removeprefix('damaged image: ')})"


def _told(skip: Skip, folder: Path) -> str:
    """Return a path, and of a folder what is in it."""
    inside = f" ({skip.detail})" if skip.detail and skip.is_folder else ""
    return skip.name(folder) + inside
