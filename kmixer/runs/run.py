"""The run folder: the files in it, and how they are written and read.

config.yaml      resolved settings, and under `run:` what it was trained with
labels.txt       class names, one a line, in the order of the logits
history.csv      one row per epoch
model.keras      the weights that were best on the validation split
checkpoint.npz   weights, the best ones too, optimizer, seeds and counters to resume from;
                 checkpoint.previous.npz: the one before
metrics.json     metrics of the finished training, and checksums of what the other files hold; a run
                 without it is not finished
seen_images.npz  a digest of each image that it was trained on, chosen by and tested on
tracking.json    the records of it in experiment trackers, which a resumed training goes on in
data_problems.csv  by name: files not read, and images that are copies or have no contrast
*.png            curves, confusion matrix
example.png      an image of its test set, for the lines of the card
README.md        the model card
model.sig        a signature over the files that mean the model (`kmixer sign`)
export/          what `kmixer export` wrote
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..config import Settings, loading, yaml_files
from ..config.image_size import LONGEST_SIDE, ImageSize, read_image_size
from ..data.decode import Decoding
from ..data.image_files import as_pixels
from ..errors import RunError, SettingsError
from ..files import atomic
from ..files.keras_archive import check_file, read_weights
from ..files.printable import printable
from ..files.text import csv_text, read_csv, read_text
from .answers import Answers
from .inference import predict_probabilities
from .metrics import read_metrics
from .naming import create_folder, run_path
from .seen_images import SeenImages, read_seen_images

if TYPE_CHECKING:
    import keras

# 2: checkpoints within an epoch; 3: the files name each other, a checkpoint holds the best weights
FORMAT, READABLE = 3, (1, 2, 3)
CONFIG_FILE, LABELS_FILE, HISTORY_FILE = "config.yaml", "labels.txt", "history.csv"
MODEL_FILE, METRICS_FILE, CARD_FILE = "model.keras", "metrics.json", "README.md"
PROBLEMS_FILE = "data_problems.csv"
CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE = "checkpoint.npz", "checkpoint.previous.npz"
MOST_CLASSES, LONGEST_NAME = 100_000, 1_000
COLUMNS = (
    "epoch", "seconds", "examples_per_second", "learning_rate",
    "loss", "accuracy", "val_loss", "val_accuracy",
)  # fmt: skip
TEST_COLUMNS = ("test_loss", "test_accuracy")  # where each epoch measured the test images
INFO = ("format", "command", "dataset", "device", "git_commit", "input_shape", "preset", "versions")


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        folder: its path.
        settings: the resolved `Settings`.
        info: the section `run` of config.yaml: format, versions, input_shape, command, …
    """

    folder: Path
    settings: Settings
    info: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the logits."""
        path = self.folder / LABELS_FILE
        names = tuple(read_text(path).splitlines())
        if len(names) > MOST_CLASSES or max(map(len, names), default=0) > LONGEST_NAME:
            raise RunError(
                f"{path}: received {len(names):,} class names of up to {max(map(len, names)):,}"
                f" characters, expected at most {MOST_CLASSES:,} of {LONGEST_NAME:,}"
            )
        return names

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv as dicts of numbers."""
        path = self.folder / HISTORY_FILE
        rows: list[dict[str, Any]] = [*read_csv(path)]
        try:
            columns = self._columns
            numbers = [{key: float(row[key]) for key in columns} for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path}: damaged: {error}") from None
        if not all(math.isfinite(value) for row in numbers for value in row.values()):
            raise RunError(f"{path}: damaged: it holds a number that is not finite")
        return numbers

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json: a dict as `kmixer.runs.metrics.Metrics` describes it."""
        return read_metrics(self.folder / METRICS_FILE)

    @property
    def answers(self) -> Answers | None:
        """The thresholds of its answers; None: it is not finished, or its images told none."""
        found = self.metrics.get("answers") if self.finished else None
        return Answers(**found) if found else None

    @property
    def decoding(self) -> Decoding:
        """How image files become the pixels that its model takes."""
        return Decoding.of(self.settings.data, self.info["input_shape"])

    @property
    def seen_images(self) -> SeenImages | None:
        """Which images it was trained on, known by their content; None if it did not record it."""
        return read_seen_images(self.folder)

    @property
    def imported(self) -> bool:
        """Whether its weights were imported from a file: it has no history and no metrics."""
        return "imported" in self.info

    @property
    def finished(self) -> bool:
        """Whether its training is finished."""
        return run_state(self.folder) == "finished"

    def start_settings(self, image_size: ImageSize | None = None) -> dict[str, Any]:
        """Return the nested settings that a fine-tuning takes over from this run.

        They are the model, and the preprocessing of its images: the same mean and standard
        deviation, the same channels (gray images become RGB for a model of those), and images of
        the size that it was trained on. A square size is reached inside the model, so that images
        are stored at their own; one that is not square, when files are read.

        Args:
            image_size: another size: a side in pixels, or (height, width).
        """
        values = self.settings.model_dump(mode="json")
        data = {key: values["data"][key] for key in ("mean", "std", "fit")}
        data["channels"] = self.info["input_shape"][2]
        data |= self._start_size(image_size)
        start = {"run": str(self.folder.resolve()), "sha256": None}
        return {"data": data, "model": values["model"], "finetune": start}

    def _start_size(self, image_size: ImageSize | None) -> dict[str, Any]:
        """Return the settings under which a fine-tuning's images get that size, or this run's."""
        own, (height, width) = self.settings.data, self.info["input_shape"][:2]
        if not image_size and own.crop_size:
            resize = own.resize_size or min(height, width)
            return {"resize_size": resize, "crop_size": own.crop_size}
        size = image_size or own.resize_size or read_image_size((height, width))
        if isinstance(size, tuple):
            return {"image_size": size, "resize_size": None, "crop_size": None}
        return {"resize_size": size, "crop_size": size}

    def write_config(self) -> None:
        """Write config.yaml."""
        header = f"# {printable(self.info['command'])}\n"
        text = header + loading.dump(self.settings) + yaml_files.to_yaml({"run": self.info})
        atomic.write_text(self.folder / CONFIG_FILE, text)

    def write_labels(self, class_names: Iterable[str]) -> None:
        """Write labels.txt."""
        text = "".join(f"{label}\n" for label in class_names)
        atomic.write_text(self.folder / LABELS_FILE, text)

    def write_history(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the whole history.csv; an interruption leaves no half-written row."""
        atomic.write_text(self.folder / HISTORY_FILE, csv_text(self._columns, rows))

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns of history.csv."""
        tests = self.settings.training.test_every_epoch
        return (*COLUMNS, *TEST_COLUMNS) if tests else COLUMNS

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json; with it, the run is finished."""
        text = json.dumps(metrics, indent=2, allow_nan=False) + "\n"
        atomic.write_text(self.folder / METRICS_FILE, text)

    def save_model(self, model: keras.Model) -> None:
        """Write model.keras: the model alone; the checkpoint holds the optimizer's state."""
        import keras

        uncompiled = keras.Model(model.input, model.output, name=model.name)
        with atomic.replacing(self.folder / MODEL_FILE) as temporary:
            uncompiled.save(temporary)

    def build_model(self) -> keras.Model:
        """Build the run's model from its settings, with newly initialized weights."""
        from ..models.factory import build_model

        return build_model(self.settings, tuple(self.info["input_shape"]), len(self.class_names))

    def load_model(self) -> keras.Model:
        """Build the run's model and read the weights that were best on the validation split.

        Only weights are read: a model file is never deserialized.

        Raises:
            RunError: model.keras is missing, damaged, of another model, or does not belong to the
                other files of a finished run.
        """
        from .consistency import check_consistent
        from .model_size import check_weights_fit

        check_weights_fit(self)
        model = self.build_model()
        read_weights(self.folder / MODEL_FILE, model)
        check_consistent(self)
        return model

    def in_float32(self) -> Run:
        """Return the run with a model that computes in float32, whatever it was trained in."""
        return replace(self, settings=self.settings.changed(training={"precision": "float32"}))

    def check_finished(self) -> None:
        """Refuse a run whose training is not finished.

        Raises:
            RunError: it is not finished; the message says how to resume it.
        """
        if not self.finished and not self.imported:
            raise RunError(
                f"{self.folder}: its training is not finished; go on with:"
                f" kmixer resume {self.folder}"
            )

    def check_model(self) -> None:
        """Check without Keras, which starts slowly, that `load_model` can find its model.

        Raises:
            RunError: the images' shape, the class names or the weights are missing or damaged, or
                the files of a finished run do not belong together.
        """
        from .consistency import check_consistent
        from .model_size import check_depth

        shape = self.info["input_shape"]
        sides = shape if isinstance(shape, list) and len(shape) == 3 else ()
        if not sides or not all(type(side) is int and 0 < side <= LONGEST_SIDE for side in sides):
            raise RunError(
                f"{self.folder}: config.yaml: run.input_shape: received {shape!r}, expected"
                f" [height, width, channels], each from 1 to {LONGEST_SIDE:,}"
            )
        if (classes := len(self.class_names)) < 2:
            raise RunError(
                f"{self.folder}: labels.txt: received {classes} class names, expected two or more,"
                " one a line"
            )
        check_file(self.folder / MODEL_FILE)
        check_depth(self)
        check_consistent(self)

    def predict(self, images: np.ndarray | Sequence[str | Path] | str | Path) -> np.ndarray:
        """Return the probabilities that the best weights give; the model is loaded once.

        Args:
            images: uint8 `(n, height, width, channels)` of the size trained on, one such image, or
                paths of image files, which are resized and cropped as in training.

        Returns:
            float64 `(n, classes)`, in the order of `class_names`; each row sums to 1.

        Raises:
            RunError: the run is not finished, or its weights cannot be read.
            DataError: the images are of another shape, or a file cannot be read.
        """
        pixels = as_pixels(images, self.decoding)
        return predict_probabilities(self._model, pixels)

    @cached_property
    def _model(self) -> keras.Model:
        self.check_finished()
        return self.load_model()


def run_state(folder: Path) -> Literal["new", "unfinished", "finished"]:
    """Say how far the training of a run folder is; a folder without config.yaml is new."""
    if not (folder / CONFIG_FILE).is_file():
        return "new"
    return "finished" if (folder / METRICS_FILE).is_file() else "unfinished"


def create_run(
    settings: Settings,
    info: Mapping[str, Any],
    class_names: Iterable[str],
    *,
    root: str | Path,
    stem: str,
    name: str | None = None,
    out: str | Path | None = None,
    write_more: Callable[[Path], object] = lambda folder: None,
) -> Run:
    """Make a new run folder and write config.yaml and labels.txt.

    Args:
        settings: resolved `Settings`.
        info: a dict for config.yaml's `run:` section.
        class_names: in the order of the logits.
        root: the folder that holds the run folders.
        stem: of the folder's name; a number makes it unique.
        name: the folder's name under `root`, instead of stem and number.
        out: the folder itself, instead of root and name.
        write_more: called with the folder before it gets its name, to write other files into it.

    Raises:
        RunError: the folder is taken or cannot be made.
    """
    run = Run(Path(), settings, {"format": FORMAT, **info})

    def fill(folder: Path) -> None:
        filled = replace(run, folder=folder)
        filled.write_labels(class_names)
        write_more(folder)
        filled.write_config()

    return replace(run, folder=create_folder(fill, root=root, stem=stem, name=name, out=out))


def load_run(folder: str | Path) -> Run:
    """Open a run folder.

    Args:
        folder: its path, or its name alone where it lies in `saved_models`.

    Raises:
        RunError: it is no run folder, or was written by a newer kmixer.
    """
    folder = run_path(folder)
    if run_state(folder) == "new":
        raise RunError(f"{folder}: not a run folder: it holds no config.yaml")
    values = yaml_files.read_file(folder / CONFIG_FILE, keep_run=True)
    info = values.pop("run", None)
    if not isinstance(info, dict) or "format" not in info:
        raise RunError(f"{folder}: not a run folder: its config.yaml has no section 'run'")
    if info["format"] not in READABLE:
        formats = " and ".join(map(str, READABLE))
        raise RunError(f"{folder}: run format {info['format']}, this kmixer reads {formats}")
    missing = [key for key in INFO if key not in info]
    if missing:
        raise RunError(f"{folder}: not a whole run: its config.yaml has no run.{missing[0]}")
    try:
        return Run(folder, loading.build_settings(values), info)
    except SettingsError as error:
        raise RunError(f"{folder}: config.yaml, perhaps of another version: {error}") from None
