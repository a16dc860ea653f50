"""An exported model, opened by the runtime of its format; needs no Keras."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, PositiveFloat, PositiveInt, ValidationError

from ..config.schema import validation_message
from ..data.decode import Decoding, Fit
from ..errors import RunError, file_problem, nearest, one_line
from ..files.checksums import checksum
from .formats import FORMATS, QUANTIZATIONS
from .runtimes import Predict

MANIFEST = "manifest.json"
BESIDE_THE_MODEL = ("labels.txt", "README.md")


def _known_format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"received {name!r}{nearest(name, FORMATS)}")
    return name


def _known_quantization(name: str) -> str:
    if name not in QUANTIZATIONS:
        raise ValueError(f"received {name!r}{nearest(name, QUANTIZATIONS)}")
    return name


class _Input(BaseModel):
    trained_on: tuple[PositiveInt, PositiveInt, PositiveInt]


class _Output(BaseModel):
    shape: tuple[None, PositiveInt]


class _Run(BaseModel):
    name: str


class _Data(BaseModel):
    fit: Fit = "crop"
    white_level: PositiveFloat | None = None


class _Settings(BaseModel):
    data: _Data = _Data()


class _File(BaseModel):
    bytes: int
    sha256: str


class _Manifest(BaseModel):
    """The part of a manifest that this module and the server rely on."""

    format: Annotated[str, AfterValidator(_known_format)]
    quantize: Annotated[str, AfterValidator(_known_quantization)]
    file: str
    class_names: list[str]
    input: _Input
    output: _Output
    run: _Run
    settings: _Settings = _Settings()
    proof: dict[str, Any]
    files: dict[str, _File]


@dataclass(frozen=True)
class Artifact:
    """An export folder.

    Attributes:
        folder: its path.
        manifest: the content of its `manifest.json`.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities."""
        return tuple(self.manifest["class_names"])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images that it was trained on."""
        height, width, channels = self.manifest["input"]["trained_on"]
        return height, width, channels

    @property
    def decoding(self) -> Decoding:
        """How image files become pixels, as in its training; older exports crop."""
        data = _Manifest.model_validate(self.manifest).settings.data
        return Decoding(*self.image_shape, data.fit, data.white_level)

    @property
    def size(self) -> int:
        """Bytes of the model's own files, without labels, card and manifest."""
        return model_bytes(self.manifest)

    @property
    def model_files(self) -> list[str]:
        """The model's own files at the top of the folder, by name."""
        return [
            name
            for name in self.manifest["files"]
            if name not in BESIDE_THE_MODEL and "/" not in name
        ]

    def open(self, threads: int | None = None) -> tuple[Predict, str]:
        """Compare the files with the manifest's checksums, then open the model.

        Args:
            threads: the number that the runtime may use; default its own choice.

        Returns:
            (a function of uint8 images → probabilities, the runtime's name and version); see
            `formats.py`.

        Raises:
            RunError: a file is missing or changed, or the runtime refuses it.
        """
        for name, file in self.manifest["files"].items():
            self._check(name, file["sha256"])
        path = self.folder / self.manifest["file"]
        try:
            return FORMATS[self.manifest["format"]].open(str(path), threads)
        except Exception as error:  # each runtime raises errors of its own
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise RunError(f"{path}: cannot be opened: {reason}") from error

    def _check(self, name: str, sha256: str) -> None:
        path = self.folder / name
        try:
            received = checksum(path)["sha256"]
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {file_problem(error)}") from None
        if received != sha256:
            raise RunError(f"{path}: damaged or changed: its SHA-256 is not the manifest's")


def model_bytes(manifest: Mapping[str, Any]) -> int:
    """Return the bytes of an export's model files, without labels, card and manifest."""
    return sum(
        file["bytes"] for name, file in manifest["files"].items() if name not in BESIDE_THE_MODEL
    )


def load_artifact(folder: str | Path) -> Artifact:
    """Read an export folder's manifest.

    Raises:
        RunError: it is no export folder, or its manifest is damaged.
    """
    folder = Path(folder)
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except OSError as error:
        problem = file_problem(error)
        raise RunError(f"{folder}: not an export folder: {MANIFEST}: {problem}") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{folder}: {MANIFEST} is damaged: {file_problem(error)}") from None
    try:
        manifest = json.loads(text)
        if not isinstance(manifest, dict):
            raise ValueError("it is not a JSON object")
        checked = _Manifest.model_validate(manifest)
    except ValidationError as error:
        problem = validation_message(error, _Manifest)
        raise RunError(f"{folder}: {MANIFEST} is damaged: {problem}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{folder}: {MANIFEST} is damaged: {error}") from None
    _check_consistent(folder, checked)
    return Artifact(folder, manifest)


def _check_consistent(folder: Path, manifest: _Manifest) -> None:
    root = folder.resolve()
    for name in (manifest.file, *manifest.files):
        if not (root / name).resolve().is_relative_to(root):
            raise RunError(f"{folder}: {MANIFEST} is damaged: {name} lies outside the folder")
    if len(manifest.class_names) != manifest.output.shape[1]:
        raise RunError(
            f"{folder}: {MANIFEST} is damaged: {len(manifest.class_names)} class names for"
            f" {manifest.output.shape[1]} probabilities"
        )
