"""An exported model, opened by the runtime of its format; needs no Keras."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.decode import Decoding
from ..errors import RunError, one_line
from ..runs.answers import Answers
from ..runs.example_image import EXAMPLE_FILE
from . import contents
from .formats import FORMATS
from .manifest import LABELS, MANIFEST, Manifest, read_manifest
from .runtimes import Predict

BESIDE_THE_MODEL = (LABELS, "README.md", EXAMPLE_FILE)
SOURCES = "source"  # the folder of what a compiler takes, which no runtime opens


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
        data = Manifest.model_validate(self.manifest).settings.data
        return Decoding(*self.image_shape, data.fit, data.white_level)

    @property
    def answers(self) -> Answers | None:
        """The thresholds of its answers; None: older exports, and runs without, have none."""
        return Manifest.model_validate(self.manifest).answers

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

    @property
    def is_code(self) -> bool:
        """Whether to open it is to run its code: no format of this kind is served."""
        return FORMATS[self.manifest["format"]].serving_rank is None

    def open(self, threads: int | None = None, *, trusted: bool = False) -> tuple[Predict, str]:
        """Read the files, hold them against the manifest, and open the model from what was read.

        Args:
            threads: the number that the runtime may use; default its own choice.
            trusted: open it even if it is code: somebody whom the user trusts has signed it.

        Returns:
            (a function of uint8 images → probabilities, the runtime's name and version); see
            `formats.py`.

        Raises:
            RunError: a file is missing or changed, the runtime refuses it, the model is not the
                one that the manifest describes, or it is code.
        """
        known = FORMATS[self.manifest["format"]]
        if self.is_code and not trusted:
            raise RunError(
                f"{self.folder}: kmixer opens no exports of format {known.name}; use it as its"
                " README.md says, or an export of another format, such as tflite"
            )
        files = contents.read_listed(self.folder, self.manifest["files"])
        self._check_labels(files[LABELS])
        try:
            predict, runtime = known.open(files, threads)
            self._check_answers(predict)
        except Exception as error:  # each runtime raises errors of its own
            reason = f"{type(error).__name__}: {one_line(error)}"
            path = self.folder / known.file
            raise RunError(f"{path}: cannot be opened: {reason}") from error
        return predict, runtime

    def _check_labels(self, content: bytes) -> None:
        try:
            names = tuple(content.decode().splitlines())
        except UnicodeDecodeError:
            raise RunError(f"{self.folder / LABELS}: is not UTF-8 text") from None
        if names != self.class_names:
            raise RunError(f"{self.folder / LABELS}: its class names are not the manifest's")

    def _check_answers(self, predict: Predict) -> None:
        """Ask the model about two images: shapes and numbers have to be those of the manifest."""
        probabilities = predict(np.zeros((2, *self.image_shape), np.uint8))
        check_probabilities(probabilities, 2, len(self.class_names))


def check_probabilities(probabilities: np.ndarray, images: int, classes: int) -> None:
    """Refuse what is no answer about so many images and classes.

    Raises:
        ValueError: the shape is another one, or not all are finite numbers.
    """
    if probabilities.shape != (images, classes):
        raise ValueError(
            f"received probabilities of shape {probabilities.shape}, expected {images, classes}"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("received probabilities that are not finite numbers")


def model_bytes(manifest: Mapping[str, Any]) -> int:
    """Return the bytes of an export's model files, without labels, card, manifest and sources."""
    return sum(
        file["bytes"]
        for name, file in manifest["files"].items()
        if name not in BESIDE_THE_MODEL and not name.startswith(f"{SOURCES}/")
    )


def find_export(path: str | Path) -> Path | None:
    """Return the export folder that a path means: itself, or the one of a model's file in it.

    Args:
        path: of a folder or a file; None is returned where neither is an export's.
    """
    folder = Path(path).parent if Path(path).is_file() else Path(path)
    return folder if (folder / MANIFEST).is_file() else None


def load_artifact(folder: str | Path) -> Artifact:
    """Read an export folder's manifest and compare it with the names of the folder's files.

    Raises:
        RunError: it is no export folder, its manifest is damaged, or it holds other files.
    """
    folder = Path(folder)
    manifest, checked = read_manifest(folder)
    _check_files(folder, checked)
    return Artifact(folder, manifest)


def check_replaceable(folder: Path) -> None:
    """Refuse to write an export in the place of a folder that holds anything else.

    Raises:
        RunError: it has a manifest that kmixer did not write, or files that the manifest does not
            list. A damaged export is replaced.
    """
    if not (folder / MANIFEST).is_file():
        return  # it is not replaced at all
    try:
        manifest, _ = read_manifest(folder)
    except RunError:
        if b'"class_names"' in contents.beginning(folder / MANIFEST):
            return
        raise RunError(
            f"{folder}: already there, and its {MANIFEST} is of something else; choose another"
            " --out"
        ) from None
    for name in contents.unlisted_files(folder, manifest["files"], notes=True):
        raise RunError(
            f"{folder}: it holds {name!r:.200}, which would be lost; move it to another place"
        )


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Hold the manifest's list of files against what its format needs, and against the folder."""
    for name in (*manifest.files, manifest.file):
        if not contents.is_inside(name):
            shown = repr(name)[1:-1][:200]
            raise RunError(f"{folder}: {MANIFEST} is damaged: {shown} lies outside the folder")
    known = FORMATS[manifest.format]
    if manifest.file != known.file:
        raise RunError(
            f"{folder}: {MANIFEST} is damaged: file: received {manifest.file!r:.200}, expected"
            f" {known.file!r} for {known.name}"
        )
    for name in (*known.needed_files, LABELS):
        if name not in manifest.files:
            raise RunError(f"{folder}: {MANIFEST} is damaged: it has no checksum for {name}")
    for name in contents.unlisted_files(folder, manifest.files):
        raise RunError(
            f"{folder}: {name!r:.200} is not listed in {MANIFEST}; remove it, or export again"
        )
