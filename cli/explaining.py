"""What `kmixer predict --explain` does with each image."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmixer.evaluation.explanation import Look
    from kmixer.exporting.artifact import Artifact
    from kmixer.runs.inference import Prediction
    from kmixer.runs.run import Run

LONGEST_STEM = 100  # characters of a picture's name that are its image's
SUFFIX = ".explained.png"


class Explainer:
    """Explains images by a run's model and writes a picture of each.

    Args:
        opened: a run, or an export that lies in its run's folder.
        class_name: the class to explain; None: of each image the most probable one.
        by: see `kmixer.Run.explain`.
        out: the folder of the pictures; it is made.
        files: the images, none of which is written over.

    Attributes:
        out: the folder.
        found: of each image that was explained, by its path: what `--json` says of it.

    Raises:
        KmixerError: there is no such class, no run beside the export, or the folder cannot be
            written.
    """

    def __init__(
        self, opened: "Run | Artifact", class_name: str | None, by: str, out: Path,
        files: Iterable[Path],
    ) -> None:  # fmt: skip
        from kmixer.evaluation.explanation import check_by, find_class
        from kmixer.exporting.artifact import Artifact
        from kmixer.exporting.origin import run_beside
        from kmixer.files import atomic

        self.run = run_beside(opened) if isinstance(opened, Artifact) else opened
        self.class_names = self.run.class_names
        self.label, self.by = find_class(self.class_names, class_name), check_by(self.run, by)
        atomic.make_folder(out)
        atomic.check_writable(out / f"image{SUFFIX}")
        self.out, self.found = out, dict[Path, dict[str, Any]]()
        self._taken = {_key(file) for file in files}
        self._look: Look | None = None

    def explain(self, prediction: "Prediction", backend: str | None) -> None:
        """Explain an image that was read, and write its picture.

        Args:
            prediction: with the image's pixels.
            backend: of Keras; None: the run's, or tokens in NumPy, where that can be.
        """
        from kmixer.evaluation.explanation import explain

        assert prediction.pixels is not None
        self._look = self._look or self._open(backend)
        explanation = explain(self._look(prediction.pixels), self.class_names, self.label)
        path = self._picture(prediction.path)
        explanation.save(path)
        self.found[prediction.path] = explanation.as_json() | {"picture": str(path)}

    def _open(self, backend: str | None) -> "Look":
        from kmixer.backend import choose
        from kmixer.evaluation.explanation import look_with_keras, look_without_keras

        from .loading import start

        in_numpy = backend is None and self.by == "tokens"
        if in_numpy and (look := look_without_keras(self.run)):
            return look
        choose(backend or self.run.settings.training.backend)
        start()
        return look_with_keras(self.run, self.by)

    def _picture(self, image: Path) -> Path:
        """Return where an image's picture goes: beside no other's, and over no image."""
        number, stem = 1, image.stem[:LONGEST_STEM]
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            path = self.out / f"{name}{SUFFIX}"
            if (key := _key(path)) not in self._taken:
                self._taken.add(key)
                return path
            number += 1


def _key(path: Path) -> str:
    """Return a text that is the same for all paths of a file, also where case does not count."""
    import os

    return os.path.realpath(path).casefold()
