"""The settings of a run: what may be set, to what, and what happens if it is not set.

Every key has a default here; presets, files and flags hold only what differs. Settings are frozen,
import no Keras, and refuse unknown keys, wrong types and values out of range.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    StrictBool,
    field_validator,
    model_validator,
)

from .augment import AugmentSettings
from .data import DataSettings
from .durations import Interval, read_interval
from .fields import Count, NonNegative, OpenShare, Section, Seed, Share
from .model import MixerSettings, ModelSettings
from .optimizer import (
    AdamSettings,
    AnyOptimizer,
    AnySchedule,
    CosineSchedule,
    PlateauSettings,
)


class EarlyStoppingSettings(Section):
    """Stop when the monitored value has not improved for `patience` epochs."""

    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    patience: Count = Field(10, description="epochs")
    min_delta: NonNegative = 0.0


class FinetuneSettings(Section):
    """Start from another run's weights, or from published ones."""

    run: str = Field(
        description="the folder of a run, or the name of a start: cifar10-shift, mixer-b16, a name"
        " of timm's, or OWNER/REPO[@REVISION] on the Hugging Face Hub"
    )
    sha256: str | None = Field(
        None, description="what that of the start's file of weights has to be; null: not compared"
    )
    freeze: list[str] = Field([], description="stem, blocks.0-5, or names of layers")
    layer_decay: Annotated[FiniteFloat, Field(gt=0, le=1, strict=True)] = Field(
        1.0, description="learning rate of a block as a share of the next one's"
    )


def _names(value: Any) -> Any:
    """Return a single name as a list, and of names that are given twice one."""
    names = [value] if isinstance(value, str) else value
    hashable = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return list(dict.fromkeys(names)) if hashable else names


Tracker = Literal["mlflow", "trackio", "tensorboard"]


class TrainingSettings(Section):
    """How long, how exactly, on what."""

    epochs: Count | None = Field(20, description="null: by the number of images")
    seed: Seed = 0
    class_weights: Literal["none", "balanced"] | None = Field(
        "none",
        description="balanced: every class counts the same in the loss, however many images it has;"
        " null: balanced where the classes differ much",
    )
    best_epoch: Literal["val_accuracy", "val_loss", "last"] | None = Field(
        None,
        description="which epoch's weights are kept as the best; ties of val_accuracy are broken by"
        " val_loss; null: by how much the validation images can tell",
    )
    label_smoothing: Share = 0.0
    temperature_scaling: StrictBool = Field(
        True,
        description="after training, divide the logits by the temperature that fits the validation"
        " images, 100 or more, so that probabilities are as high as they are right"
        " (arXiv 1706.04599, section 4.2)",
    )
    whiten_stem: StrictBool = Field(
        False,
        description="begin with a stem that whitens the training images' patches, of a mixer or"
        " shift_mlp (arXiv 2404.00498)",
    )
    early_stopping: EarlyStoppingSettings | None = None
    backend: Literal["tensorflow", "jax", "torch"] | None = None
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32",
        description="auto: float32 or mixed_bfloat16, whichever trains faster on this machine, as"
        " measured when a training begins, or before by `kmixer benchmark --tune-machine`",
    )
    distribute: Literal["none", "auto"] = Field(
        "none", description="auto: over all devices and processes, each a part of every batch"
    )
    jit: StrictBool | None = Field(None, description="null: as measured for backend and model")
    steps_per_execution: Count = 1
    track: Annotated[list[Tracker], BeforeValidator(_names)] = Field(
        [], description="where its settings, curves, pictures and model are recorded as well"
    )
    test_every_epoch: StrictBool = Field(
        False,
        description="measure the test images after each epoch, too, as many reports do: test_loss"
        " and test_accuracy in history.csv, and in metrics.json the epoch that is best by them,"
        " best_on_test. It decides about nothing else, but where plateau.monitor says so",
    )
    checkpoint_every: Count | str | None = Field(
        "10m", description="steps, or a time; null: at the end of an epoch alone"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        """Read the settings of runs from when TensorBoard was the only tracker."""
        if not isinstance(values, dict) or not isinstance(values.get("tensorboard"), bool):
            return values
        before = {"track": ["tensorboard"]} if values["tensorboard"] else {}
        return before | {key: value for key, value in values.items() if key != "tensorboard"}

    @property
    def checkpoint_interval(self) -> Interval:
        """`checkpoint_every` as an `Interval`."""
        return read_interval(self.checkpoint_every)

    @field_validator("checkpoint_every")
    @classmethod
    def _is_an_interval(cls, value: int | str | None) -> int | str | None:
        read_interval(value)
        return value


class AnswersSettings(Section):
    """What a model answers beside probabilities; chosen on 100 validation images or more."""

    coverage: OpenShare = Field(
        0.95, description="of each class the share of images whose set of classes is to hold it"
    )
    refusals: OpenShare = Field(
        0.05, description="the share of images of known classes that may be called unknown"
    )


class Settings(Section):
    """Everything a run depends on; each section and key with its meaning: docs/settings.md.

    Example:
        >>> import kmixer
        >>> settings = kmixer.Settings(training={"epochs": 3})
        >>> settings.training.epochs, settings.data.name
        (3, 'fmnist')
        >>> settings.changed(data={"batch_size": 64}).data.batch_size
        64
    """

    data: DataSettings = DataSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = MixerSettings()
    optimizer: AnyOptimizer = AdamSettings()
    schedule: AnySchedule = CosineSchedule()
    plateau: PlateauSettings | None = None
    finetune: FinetuneSettings | None = None
    training: TrainingSettings = TrainingSettings()
    answers: AnswersSettings = AnswersSettings()
    search: dict[str, Any] | None = Field(
        None, description="what `kmixer tune` draws, by the path of a setting; others ignore it"
    )

    @property
    def soft_labels(self) -> str | None:
        """How the training labels differ from validation's, such as "mixed labels", or None.

        Their loss and accuracy are then not comparable.
        """
        changes = {
            "mixed": self.augment.mixing,
            "smoothed": self.training.label_smoothing,
        }
        words = [word for word, setting in changes.items() if setting]
        return f"{' and '.join(words)} labels" if words else None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.plateau and self.schedule.name == "cosine":
            raise ValueError(
                "plateau: ReduceLROnPlateau cannot change the learning rate of schedule.name"
                " 'cosine'; use schedule.name 'constant' or 'exponential', or plateau null"
            )
        follows_test = self.plateau is not None and self.plateau.monitor == "test_loss"
        if follows_test and not self.training.test_every_epoch:
            raise ValueError(
                "plateau.monitor: received 'test_loss', which needs training.test_every_epoch"
                " true; expected 'val_loss' or 'val_accuracy'"
            )
        if isinstance(self.schedule, CosineSchedule) and self.training.epochs:
            _check_warmup(self.schedule.warmup_epochs, self.training.epochs)
        return self


def _check_warmup(warmup_epochs: float, epochs: int) -> None:
    if warmup_epochs > epochs:
        raise ValueError(
            f"schedule.warmup_epochs: received {warmup_epochs:g}, expected at most"
            f" training.epochs, {epochs}"
        )
