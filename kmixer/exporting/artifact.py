"""An exported model, opened by the runtime of its format; needs no Keras."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, PositiveInt, ValidationError

from ..errors import RunError
from ..files.checksums import checksum
from .formats import FORMATS, QUANTIZATIONS

MANIFEST = "manifest.json"


class _Input(BaseModel):
    trained_on: tuple[PositiveInt, PositiveInt, PositiveInt]


class _Output(BaseModel):
    shape: tuple[None, PositiveInt]


class _Run(BaseModel):
    name: str


class _File(BaseModel):
    bytes: int
    sha256: str


class _Manifest(BaseModel):
    """What this module and the server rely on."""

    format: Literal[*FORMATS]
    quantize: Literal[*QUANTIZATIONS]
    file: str
    class_names: list[str]
    input: _Input
    output: _Output
    run: _Run
    proof: dict
    files: dict[str, _File]


@dataclass(frozen=True)
class Artefact:
    """An export folder.

    Attributes:
        folder: where it is.
        manifest: what `manifest.json` says.
    """

    folder: Path
    manifest: dict

    @property
    def class_names(self):
        """The class names, in the order of the probabilities."""
        return tuple(self.manifest["class_names"])

    @property
    def image_shape(self):
        """(height, width, channels) of the images that it was trained on."""
        return tuple(self.manifest["input"]["trained_on"])

    @property
    def size(self):
        """Bytes of the model's own files, without labels, card and manifest."""
        return model_bytes(self.manifest)

    def open(self, threads=None):
        """Open the file, after it has been held against the manifest; see `runtimes.py`.

        Raises:
            RunError: a file is missing or is not what was written, or the runtime refuses it.
        """
        for name, file in self.manifest["files"].items():
            self._check(name, file)
        path = self.folder / self.manifest["file"]
        try:
            return FORMATS[self.manifest["format"]].open(str(path), threads)
        except Exception as error:  # each runtime has its own kinds
            reason = " ".join(str(error).split())[:200]
            raise RunError(f"{path}: cannot be opened: {type(error).__name__}: {reason}") from error

    def _check(self, name, file):
        path = self.folder / name
        try:
            found = checksum(path)
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from None
        if found["sha256"] != file["sha256"]:
            raise RunError(f"{path}: damaged or changed: its SHA-256 is not the manifest's")


def model_bytes(manifest):
    """Return the bytes of an export's own files, without labels, card and manifest."""
    beside = {"labels.txt", "README.md"}
    return sum(file["bytes"] for name, file in manifest["files"].items() if name not in beside)


def load_artefact(folder):
    """Read an export folder's manifest.

    Raises:
        RunError: it is no export folder, or its manifest is damaged.
    """
    folder = Path(folder)
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder}: not an export folder: {MANIFEST}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunError(f"{folder}: {MANIFEST} is damaged: it is not UTF-8 text") from None
    try:
        manifest = json.loads(text)
        checked = _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"{folder}: {MANIFEST} is damaged: {where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{folder}: {MANIFEST} is damaged: {error}") from None
    _check_consistent(folder, checked)
    return Artefact(folder, manifest)


def _check_consistent(folder, manifest):
    home = folder.resolve()
    for name in (manifest.file, *manifest.files):
        if not (home / name).resolve().is_relative_to(home):
            raise RunError(f"{folder}: {MANIFEST} is damaged: {name} lies outside the folder")
    if len(manifest.class_names) != manifest.output.shape[1]:
        raise RunError(
            f"{folder}: {MANIFEST} is damaged: {len(manifest.class_names)} class names for"
            f" {manifest.output.shape[1]} probabilities"
        )
