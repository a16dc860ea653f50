"""The run folder: its name, what lies in it, and how it is read back.

config.yaml      resolved settings, and under `run:` what it was trained with
labels.txt       class names, one a line, in the order of the logits
history.csv      one row per epoch
model.keras      the weights that were best on the validation split
checkpoint.npz   weights, optimizer, seeds and counters to go on from; checkpoint.previous.npz: the
                 one before
metrics.json     figures at the end; its presence says that the run is finished
*.png            curves, confusion matrix
README.md        the model card
export/          what `kmixer export` wrote
"""

import csv
import io
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..config import Settings, loading, yaml_files
from ..data.image_files import as_pixels
from ..errors import RunError, SettingsError
from ..files import atomic
from ..files.keras_archive import read_weights
from .inference import probabilities
from .metrics import read_metrics
from .naming import create

FORMAT, READABLE = 2, (1, 2)  # 2: checkpoints within an epoch
COLUMNS = (
    "epoch", "seconds", "examples_per_second", "learning_rate",
    "loss", "accuracy", "val_loss", "val_accuracy",
)  # fmt: skip
INFO = ("format", "command", "dataset", "device", "git_commit", "input_shape", "preset", "versions")


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        folder: where it is.
        settings: the resolved `Settings`.
        info: what else `config.yaml` says: format, versions, input_shape, command, …
    """

    folder: Path
    settings: Settings
    info: dict

    @property
    def name(self):
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def class_names(self):
        """The class names, in the order of the logits."""
        return tuple(self._read("labels.txt").splitlines())

    @property
    def history(self):
        """The rows of history.csv as dicts of numbers."""
        rows = list(csv.DictReader(io.StringIO(self._read("history.csv"))))
        try:
            numbers = [{key: float(row[key]) for key in COLUMNS} for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.folder}: history.csv is damaged: {error}") from None
        if not all(math.isfinite(value) for row in numbers for value in row.values()):
            raise RunError(f"{self.folder}: history.csv is damaged: it holds no finite number")
        return numbers

    @property
    def metrics(self):
        """The content of metrics.json: a dict as `kmixer.runs.metrics.Metrics` describes it."""
        return read_metrics(self._read("metrics.json"), self.folder)

    @property
    def imported(self):
        """Whether its weights were read from a file instead of trained: it has no history."""
        return "imported" in self.info

    @property
    def finished(self):
        """Whether the run came to its end."""
        return (self.folder / "metrics.json").is_file()

    def start_settings(self, image_size=None):
        """Return the nested settings that a fine-tuning takes over from this run.

        They are the model, and what happens to pixels before it: the same mean and standard
        deviation, and images resized inside the model to the side that it knows.

        Args:
            image_size: side in pixels instead.
        """
        values = self.settings.model_dump(mode="json")
        data = {key: values["data"][key] for key in ("mean", "std", "resize_size", "crop_size")}
        data["resize_size"] = data["resize_size"] or min(self.info["input_shape"][:2])
        if image_size or not data["crop_size"]:
            side = image_size or data["resize_size"]
            data |= {"resize_size": side, "crop_size": side}
        return {"data": data, "model": values["model"], "finetune": {"run": str(self.folder)}}

    def write_config(self):
        """Write config.yaml."""
        import yaml

        info = yaml.safe_dump({"run": self.info}, sort_keys=False, allow_unicode=True)
        header = f"# {self.info['command']}\n"
        atomic.write_text(self.folder / "config.yaml", header + loading.dump(self.settings) + info)

    def write_history(self, rows):
        """Write history.csv anew; it is never half a row long."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic.write_text(self.folder / "history.csv", text.getvalue())

    def write_metrics(self, metrics):
        """Write metrics.json."""
        atomic.write_text(
            self.folder / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n"
        )

    def save_model(self, model):
        """Write model.keras."""
        with atomic.replacing(self.folder / "model.keras") as temporary:
            model.save(temporary)

    def build_model(self):
        """Build the run's model from its settings, with fresh weights."""
        from ..models.factory import build_model

        return build_model(self.settings, tuple(self.info["input_shape"]), len(self.class_names))

    def load_model(self):
        """Build the run's model and read back the weights that were best on validation.

        Only weights are read: a model file is never deserialised.

        Raises:
            RunError: model.keras is missing, damaged, or of another model.
        """
        model = self.build_model()
        read_weights(self.folder / "model.keras", model)
        return model

    def in_float32(self):
        """Return the run as one whose model computes in float32, whatever it was trained in."""
        training = self.settings.training.model_copy(update={"precision": "float32"})
        return replace(self, settings=self.settings.model_copy(update={"training": training}))

    def check_finished(self):
        """Refuse a run whose training has not come to its end.

        Raises:
            RunError: it is not finished; the message says how to go on.
        """
        if not self.finished and not self.imported:
            raise RunError(
                f"{self.folder}: its training is not finished; go on with:"
                f" kmixer resume {self.folder}"
            )

    def predict(self, images):
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
        pixels = as_pixels(images, self.info["input_shape"])
        return probabilities(self._model, pixels)

    @cached_property
    def _model(self):
        self.check_finished()
        return self.load_model()

    def _read(self, name):
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise RunError(f"{self.folder}: {name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise RunError(f"{self.folder}: {name} is damaged: it is not UTF-8 text") from None


def create_run(settings, info, class_names, *, root, stem, name=None, out=None):
    """Make a new run folder and write config.yaml and labels.txt.

    Args:
        settings: resolved `Settings`.
        info: a dict for config.yaml's `run:` section.
        class_names: in the order of the logits.
        root: the folder that holds the run folders.
        stem: of the folder's name; a number makes it unique.
        name: the folder's name under `root`, instead of stem and number.
        out: the folder itself, instead of root and name.

    Raises:
        RunError: the folder is taken or cannot be made.
    """
    run = Run(Path(), settings, {"format": FORMAT} | info)

    def fill(folder):
        labels = "".join(f"{label}\n" for label in class_names)
        atomic.write_text(folder / "labels.txt", labels)
        replace(run, folder=folder).write_config()

    return replace(run, folder=create(fill, root=root, stem=stem, name=name, out=out))


def load_run(folder):
    """Open a run folder.

    Args:
        folder: its path.

    Raises:
        RunError: it is no run folder, or was written by a newer kmixer.
    """
    folder = Path(folder)
    if not (folder / "config.yaml").is_file():
        raise RunError(f"{folder}: not a run folder: it holds no config.yaml")
    values = yaml_files.read_file(folder / "config.yaml", keep_run=True)
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
