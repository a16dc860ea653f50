"""What the text of a start stands for: a folder, or a name with what is pinned of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import SettingsError, nearest
from . import packaged
from .catalogue import ALIASES, TIMM

SHA256 = "sha256:"
REPOSITORY = r"[\w-][\w.-]*/[\w-][\w.-]*"


@dataclass(frozen=True)
class Reference:
    """A start by name.

    Attributes:
        name: of a start that kmixer ships, or a repository of the Hub as `OWNER/REPO`.
        revision: of the repository: a branch, a tag or a commit; None: its main branch.
        sha256: what that of the file of weights has to be; None: not known beforehand.
    """

    name: str
    revision: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name

    def with_sha256(self, sha256: str | None) -> Reference:
        """Return the reference with a checksum from elsewhere.

        Raises:
            SettingsError: it has another one already, or it is no SHA-256.
        """
        if sha256 is None:
            return self
        sha256 = _hexadecimal(sha256)
        if self.sha256 not in (None, sha256):
            raise SettingsError(
                f"finetune.sha256: received {sha256}, but {self} was given with {self.sha256}"
            )
        return replace(self, sha256=sha256)


def known_names() -> list[str]:
    """Return the names that need no owner: those shipped, the short ones, and timm's."""
    return [*packaged.names(), *ALIASES, *TIMM]


def parse(text: str) -> Path | Reference:
    """Return the folder or the `Reference` that a start's text stands for; nothing is fetched.

    A known name is that start, wherever one is; a folder of the same name is written `./NAME`. What
    is there as a folder is one; `OWNER/REPO` is a repository unless a folder OWNER is there.

    Raises:
        SettingsError: it is neither, or it is a known name and a run folder.
    """
    base, *pins = text.split("@")
    name = base.removeprefix("timm/")
    name = ALIASES.get(name, name)
    if name in TIMM:
        return _pinned(text, _no_folder(base, f"timm/{name}"), pins)
    if name in packaged.names():
        return _pinned(text, _no_folder(base, name), pins)
    if _is_path(text, base):
        return Path(text).expanduser()
    if re.fullmatch(REPOSITORY, base):
        return _pinned(text, base, pins)
    raise SettingsError(
        f"start: received {text!r}, expected a run folder, OWNER/REPO on the Hugging Face Hub, or a"
        f" known name{nearest(name, known_names())}"
    )


def _is_path(text: str, base: str) -> bool:
    if _exists(Path(text).expanduser()) or text.startswith((".", "~")) or Path(text).is_absolute():
        return True
    parts = re.split(r"[\\/]" if os.sep == "\\" else "/", base)
    return len(parts) > 2 or (len(parts) == 2 and base == text and _exists(Path(parts[0])))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a NUL in it
        return False


def _no_folder(text: str, name: str) -> str:
    """Return the name, unless a run folder of the same name is here."""
    if _exists(Path(text) / "config.yaml"):
        raise SettingsError(
            f"start: {text!r} is a known name, and a run folder here; write ./{text} for the folder,"
            " or rename it"
        )
    return name


def _pinned(text: str, name: str, pins: Iterable[str]) -> Reference:
    revision = sha256 = None
    for pin in pins:
        if pin.startswith(SHA256) and sha256 is None:
            sha256 = _hexadecimal(pin.removeprefix(SHA256))
        elif pin and not pin.startswith(SHA256) and revision is None:
            revision = pin
        else:
            raise SettingsError(f"start: received {text!r}, expected NAME[@REVISION][@sha256:HEX]")
    return Reference(name, revision, sha256)


def _hexadecimal(text: str) -> str:
    sha256 = text.removeprefix(SHA256).lower()
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise SettingsError(f"finetune.sha256: received {text!r}, expected 64 hexadecimal digits")
    return sha256
