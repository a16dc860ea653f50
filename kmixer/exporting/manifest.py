"""An export's manifest.json, checked."""

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from ..config.schema import validation_message
from ..data.decode import Fit
from ..errors import RunError, file_problem, nearest, one_line
from ..runs.answers import Answers
from .formats import FORMATS, QUANTIZATIONS

MANIFEST = "manifest.json"
LABELS = "labels.txt"
LONGEST = 16_000_000  # bytes of a manifest
MOST_PIXELS = 50_000_000  # numbers in an image that a model takes


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
    shape: tuple[None, PositiveInt | None, PositiveInt | None, PositiveInt] | None = None


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
    bytes: NonNegativeInt
    sha256: str


class Manifest(BaseModel):
    """The part of a manifest that opening an export and the server rely on."""

    format: Annotated[str, AfterValidator(_known_format)]
    quantize: Annotated[str, AfterValidator(_known_quantization)]
    file: str
    class_names: list[str]
    input: _Input
    output: _Output
    run: _Run
    settings: _Settings = _Settings()
    proof: dict[str, Any]
    answers: Answers | None = None
    files: dict[str, _File]


def read_manifest(folder: Path) -> tuple[dict[str, Any], Manifest]:
    """Return an export folder's manifest, as it is and with what is relied on checked.

    Raises:
        RunError: it is no export folder, or its manifest is damaged.
    """
    text = _read(folder)
    try:
        manifest = _parse(text)
        # from JSON, in which a list is no text and "28" no number
        checked = Manifest.model_validate_json(json.dumps(manifest), strict=True)
        _check_consistent(checked)
    except ValidationError as error:
        problem = validation_message(error, Manifest)
        raise RunError(f"{folder}: {MANIFEST} is damaged: {one_line(problem)}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{folder}: {MANIFEST} is damaged: {one_line(error)}") from None
    return manifest, checked


def _read(folder: Path) -> str:
    path = folder / MANIFEST
    try:
        if path.is_file() and path.stat().st_size > LONGEST:  # a pipe or a device is no file
            raise RunError(f"{folder}: {MANIFEST} is damaged: longer than {LONGEST:,} bytes")
        if path.exists() and not path.is_file():
            raise RunError(f"{folder}: not an export folder: {MANIFEST} is no plain file")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        problem = file_problem(error)
        raise RunError(f"{folder}: not an export folder: {MANIFEST}: {problem}") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{folder}: {MANIFEST} is damaged: {file_problem(error)}") from None


def _parse(text: str) -> dict[str, Any]:
    """Return the JSON object; strict JSON, since the server passes parts of it on."""
    manifest = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    if not isinstance(manifest, dict):
        raise ValueError("it is not a JSON object")
    try:
        json.dumps(manifest, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character") from None
    return manifest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{name!r:.100} is in it twice")
        values[name] = value
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_consistent(manifest: Manifest) -> None:
    names, shape = manifest.class_names, manifest.output.shape
    if len(names) != shape[1]:
        raise ValueError(f"{len(names)} class names for {shape[1]} probabilities")
    if manifest.answers and len(manifest.answers.least) != len(names):
        raise ValueError(
            f"answers: {len(manifest.answers.least)} thresholds for {len(names)} classes"
        )
    height, width, channels = manifest.input.trained_on
    if height * width * channels > MOST_PIXELS:
        raise ValueError(f"input.trained_on: an image has at most {MOST_PIXELS:,} numbers")
    _check_input(manifest)


def _check_input(manifest: Manifest) -> None:
    """Compare the sides that the model takes with those that it was trained on; None: any."""
    if manifest.input.shape is None:
        return
    sides = zip(manifest.input.shape[1:], manifest.input.trained_on, strict=True)
    if any(side not in (None, trained) for side, trained in sides):
        raise ValueError(
            f"input: received shape {manifest.input.shape} for images of"
            f" {manifest.input.trained_on}"
        )
