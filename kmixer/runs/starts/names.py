"""What the text of a start stands for: a folder, or a name with what is pinned of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import SettingsError, nearest
from ..naming import run_path
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
        given: the name as it was given, where it is a short one.
    """

    name: str
    revision: str | None = None
    sha256: str | None = None
    given: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def label(self) -> str:
        """What errors call it: as it was given."""
        return str(replace(self, name=self.given or self.name))

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
    if found := re.match(r"(?:https?://[^/]+/|hf://|hf[-_]hub:)([^/]+/[^/]+)", text):
        raise SettingsError(f"start: received {text!r}, expected the repository alone: {found[1]}")
    base, *pins = text.split("@")
    name = _full_name(base)
    if name is not None:
        _refuse_folder(base)
    elif text and run_path(text) != Path(text).expanduser():  # a run's name in saved_models
        return run_path(text)
    elif text and _is_path(text, base):
        return Path(text).expanduser()
    elif not re.fullmatch(REPOSITORY, base):
        raise _unknown(text, base)
    return _pinned(text, Reference(name or base, given=base), pins)


def _full_name(base: str) -> str | None:
    """Return what a known name is short for, or itself where it is shipped; None: not known."""
    if base in packaged.names():
        return base
    name = base.removeprefix("timm/")
    name = ALIASES.get(name, name)
    return f"timm/{name}" if name in TIMM else None


def _unknown(text: str, base: str) -> SettingsError:
    return SettingsError(
        f"start: received {text!r}, expected a run folder, OWNER/REPO on the Hugging Face Hub, or a"
        f" known name{nearest(base, known_names())}"
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


def _refuse_folder(base: str) -> None:
    """Refuse a known name where a run folder of the same name is: either could be meant."""
    if _exists(Path(base) / "config.yaml"):
        raise SettingsError(
            f"start: {base!r} is a known name, and a run folder here; write ./{base} for the"
            " folder, or rename it"
        )


def _pinned(text: str, reference: Reference, pins: Iterable[str]) -> Reference:
    for pin in pins:
        if pin.startswith(SHA256) and reference.sha256 is None:
            reference = replace(reference, sha256=_hexadecimal(pin))
        elif pin and not pin.startswith(SHA256) and reference.revision is None:
            reference = replace(reference, revision=pin)
        else:
            raise SettingsError(f"start: received {text!r}, expected NAME[@REVISION][@sha256:HEX]")
    return reference


def _hexadecimal(text: str) -> str:
    sha256 = text.removeprefix(SHA256).lower()
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise SettingsError(f"finetune.sha256: received {text!r}, expected 64 hexadecimal digits")
    return sha256
