"""A run as a notebook uses it: measured, exported and shown by its own methods."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..backend import choose, start
from ..data.image_files import as_pixels
from ..errors import DataError, KmixerError
from ..files.text import data_address, percent
from ..runs import run as run_folder

if TYPE_CHECKING:
    import numpy as np

    from ..evaluation.explanation import By, Explanation, Look
    from ..exporting.artifact import Artifact

CURVES_FILE = "curves.png"


class Run(run_folder.Run):
    """A run folder: its settings, history, metrics and model.

    `history` is a list of dicts, one an epoch, which `pandas.DataFrame(run.history)` takes, and
    `metrics` a dict for `pandas.json_normalize`.

    Attributes:
        folder: its path.
        settings: the resolved `Settings`.
        info: the section `run` of config.yaml: format, versions, input_shape, command, …
    """

    @classmethod
    def of(cls, run: run_folder.Run) -> Self:
        """Return a run with the methods of this class."""
        return run if isinstance(run, cls) else cls(run.folder, run.settings, run.info)

    def evaluate(
        self,
        data: str | Path | tuple[Any, Any] | None = None,
        *,
        split: str | None = None,
        flip_averaging: bool = False,
        out: str | Path | None = None,
    ) -> dict[str, Any]:
        """Measure its best weights, as `kmixer evaluate` does, and write figures and mistakes.

        Args:
            data: another data set or image folder of its classes, or (images, labels) as arrays;
                None: its own test set.
            split: `"train"`, `"validation"` or `"test"`, of a data set that has them.
            flip_averaging: average the probabilities of each image and of its mirror image.
            out: the folder to write to; default one in the run's folder `evaluation`.

        Returns:
            accuracy, loss, per class, confusion matrix, calibration error, …

        Raises:
            KmixerError: the run is not finished, or the images do not fit it.

        Example:
            >>> import kmixer
            >>> run = kmixer.load_run("saved_models/fmnist-1")
            >>> measured = run.evaluate()
            >>> measured["dataset"], measured["split"], measured["examples"]
            ('fmnist', 'test', 10000)
        """
        from ..evaluation.images import choose_images, given_images

        self.check_finished()
        self.check_model()
        self._start()
        if isinstance(data, tuple) and len(data) == 2:
            images = given_images(self, *data)
        else:
            images = choose_images(self, None if data is None else str(data), None, split)
        from ..evaluation.evaluate import evaluate

        return evaluate(self, images, flip_averaging, out=out)[0]

    def export(
        self,
        name: str,
        quantize: str | None = None,
        *,
        out: str | Path | None = None,
        max_drop: float = 0.5,
        data: str | Path | None = None,
    ) -> Artifact:
        """Write its model as a file that runs without kmixer, and verify its answers.

        Args:
            name: of the format, such as `"tflite"`; `kmixer export --list` prints them.
            quantize: `"none"`, `"float16"`, `"dynamic"` or `"int8"`; None: `"none"`, or what the
                format has.
            out: the folder that the export's folder goes into; default `export/` in the run's.
            max_drop: points of accuracy that a quantized file may lose.
            data: the images to verify it on, of its classes; None: its own.

        Returns:
            The export folder, as it can be opened.

        Raises:
            KmixerError: the format is unknown or cannot be written here, or the file gives other
                answers.

        Example:
            >>> import kmixer
            >>> exported = kmixer.load_run("saved_models/fmnist-1").export("tflite")
            >>> exported.manifest["format"], exported.folder.name
            ('tflite', 'tflite')
        """
        from ..exporting.reference_images import load_reference_images
        from ..exporting.support import find_format

        find_format(name, quantize)
        self.check_finished()
        self.check_model()
        named = None if data is None else str(data)
        dataset, missing = load_reference_images(self, named, None, print)
        self._start()
        from ..exporting.export import export_run
        from ..exporting.reference import Reference

        reference = Reference(self, dataset, missing)
        return export_run(reference, name, quantize, out=out, max_drop=max_drop)

    def explain(
        self, image: np.ndarray | str | Path, class_name: str | None = None, by: str = "image"
    ) -> Explanation:
        """Say which parts of an image speak for a class and against it.

        Args:
            image: uint8 `(height, width, channels)` of the size trained on, or a file's path.
            class_name: the class; None: the most probable one.
            by: `"image"`: integrated gradients from a black image (arXiv 1703.01365), whose sum is
                held against the logit; `"tokens"`, of a Mixer or a spatial-shift MLP: each token's
                part of the logit, which is exact, where the head reads it.

        Returns:
            The class, the most probable other class, and both maps: `save` draws them.

        Raises:
            KmixerError: the run is not finished, has no such class or no tokens, or the image
                cannot be read.

        Example:
            >>> import kmixer
            >>> run = kmixer.load_run("saved_models/fmnist-1")
            >>> shirt = run.explain("shirt.png", "Shirt")
            >>> shirt.chosen.name, shirt.chosen.heat.shape
            ('Shirt', (28, 28))
            >>> shirt.save("shirt.explained.png")
            >>> exact = run.explain("shirt.png", by="tokens").chosen
            >>> bool(abs(exact.parts.sum() + exact.constant - exact.logit) < 1e-4)
            True
        """
        from ..evaluation.explanation import check_by, explain, find_class

        label, way = find_class(self.class_names, class_name), check_by(self, by)
        pixels = as_pixels(image, self.decoding)
        if len(pixels) != 1:
            raise DataError(f"image: received {len(pixels)} images, expected one")
        if way not in self._looks:
            self._looks[way] = self._look(way)
        return explain(self._looks[way](pixels[0]), self.class_names, label)

    @cached_property
    def _looks(self) -> dict[By, Look]:
        return {}

    def _look(self, by: By) -> Look:
        from ..evaluation.explanation import look_with_keras, look_without_keras

        self.check_finished()
        self.check_model()
        if by == "tokens" and (look := look_without_keras(self)):
            return look
        self._start()
        return look_with_keras(self, by)

    def report(self, out: str | Path | None = None) -> Path:
        """Write one HTML file on it that needs no network, and return its path.

        Args:
            out: the file; default `report.html` in the run's folder.

        Raises:
            KmixerError: the run is not finished, or the file cannot be written.

        Example:
            >>> import kmixer
            >>> kmixer.load_run("saved_models/fmnist-1").report().name
            'report.html'
        """
        self.check_finished()
        self._start()
        from ..evaluation.report import write_report

        path = Path(out or self.folder / "report.html")
        write_report([self], path)
        return path

    def _start(self) -> None:
        """Choose the backend that it was trained on, unless Keras is imported already."""
        choose(self.settings.training.backend)
        start()

    def __repr__(self) -> str:
        return f"<Run {self.folder}: {self._summary()}>"

    def _repr_html_(self) -> str:
        """Return its line and its curves, which a notebook shows."""
        line = (
            f"<p><code>{html.escape(str(self.folder))}</code>: {html.escape(self._summary())}</p>"
        )
        try:
            picture = (self.folder / CURVES_FILE).read_bytes()
        except OSError:
            return line
        source = data_address("image/png", picture)
        return f'{line}<img alt="Loss, accuracy and learning rate" src="{source}">'

    def _summary(self) -> str:
        """Return in a few words what it is of and how good."""
        data = self.info["dataset"] or "imported weights"
        try:
            if self.imported:
                return f"{data}, {len(self.class_names)} classes"
            if not self.finished:
                return f"{data}, not finished; go on with kmixer.resume(run)"
            metrics = self.metrics
        except KmixerError as error:
            return f"{data}, {error}"
        test = metrics["best"]["test"]
        known = f"test accuracy {percent(test['accuracy'])}" if test else "test set not read"
        return f"{data}, {metrics['epochs']} epochs, {known}"


def load_run(folder: str | Path) -> Run:
    """Open a run folder.

    Args:
        folder: its path, or its name alone where it lies in `saved_models`.

    Raises:
        RunError: it is no run folder, or was written by a newer kmixer.

    Example:
        >>> import kmixer
        >>> run = kmixer.load_run("saved_models/fmnist-1")
        >>> run.finished, run.settings.data.name, len(run.history)
        (True, 'fmnist', 1)
        >>> run.predict("shirt.png").shape
        (1, 10)
    """
    return Run.of(run_folder.load_run(folder))


def list_runs(root: str | Path = "saved_models") -> list[Run]:
    """Return the runs below a folder, also those of sweeps and searches, by their paths.

    Folders that hold no run, or one that cannot be read, are passed over.

    Args:
        root: the folder.

    Example:
        >>> import kmixer
        >>> [run.name for run in kmixer.list_runs() if run.finished]
        ['fmnist-1']
    """
    found = []
    for file in sorted(Path(root).rglob(run_folder.CONFIG_FILE)):
        try:
            found.append(load_run(file.parent))
        except KmixerError:
            continue
    return found
