"""The settings of a run: what may be set, to what, and what happens if it is not set.

Every key has a default here; presets, files and flags hold only what differs. Settings are frozen,
import no Keras, and refuse unknown keys, wrong types and values out of range.
"""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, StrictBool, model_validator

from .fields import Count, NonNegative, OpenShare, Positive, Probability, Section, Seed, Share
from .model import CnnSettings, MixerSettings, MlpSettings, ShiftMlpSettings


class DataSettings(Section):
    """Which images, in which size, split how."""

    name: str | None = Field(
        "fmnist", description="data set name, tfds:NAME or an image folder; null: imported weights"
    )
    dir: str | None = Field(None, description="where prepared data sets lie")
    image_size: Count | None = Field(None, description="side in pixels; null: as stored")
    resize_size: Count | None = Field(
        None, description="smaller side that the model resizes images to; null: as they are"
    )
    crop_size: Count | None = Field(
        None,
        description="side of the centre that it keeps; null: all; augment.translation moves it",
    )
    validation_size: Count | OpenShare | None = Field(
        None, description="images or share cut from the training set; null: a twelfth"
    )
    split_seed: Seed = Field(0, description="draws the validation split")
    classes: list[str] | None = Field(None, description="only these, in this order; null: all")
    train_per_class: Count | None = Field(
        None, description="training images kept of each class; null: all"
    )
    batch_size: Count = 256
    mean: list[FiniteFloat] | None = Field(None, description="per channel, of pixels/255")
    std: list[Positive] | None = Field(None, description="per channel, of pixels/255")


class RandomResizedCropSettings(Section):
    """Crop a random area of a random aspect ratio, resize it to the image's size."""

    scale: tuple[Positive, Positive] = Field((0.08, 1.0), description="share of the area")
    ratio: tuple[Positive, Positive] = Field((0.75, 4 / 3), description="width / height")

    @model_validator(mode="after")
    def _ordered(self):
        _check_range("scale", self.scale, most=1.0)
        _check_range("ratio", self.ratio)
        return self


class RandAugmentSettings(Section):
    """Apply a few operations to each image, drawn from shears, shifts, turns and colour changes."""

    num_ops: Count = Field(2, description="operations for an image")
    magnitude: Annotated[int, Field(ge=0, le=30, strict=True)] = Field(
        9, description="how strong, from 0 to 30"
    )


class RandomErasingSettings(Section):
    """Overwrite a random rectangle with black."""

    probability: Probability = 0.5
    scale: tuple[Positive, Positive] = Field((0.02, 0.33), description="share of the area")
    ratio: tuple[Positive, Positive] = Field((0.3, 3.3), description="width / height")

    @model_validator(mode="after")
    def _ordered(self):
        _check_range("scale", self.scale, most=1.0)
        _check_range("ratio", self.ratio)
        return self


class MixUpSettings(Section):
    """Blend an image and its label with another's."""

    probability: Probability = 0.5
    alpha: Positive = Field(0.2, description="of the Beta distribution of the image's share")


class CutMixSettings(Section):
    """Paste a rectangle of another image; the label follows the area."""

    probability: Probability = 0.5
    alpha: Positive = Field(1.0, description="of the Beta distribution of the image's share")


class AugmentSettings(Section):
    """What happens to training images; everything is off by default."""

    on: Literal["host", "accelerator"] | None = Field(
        None,
        description="accelerator: the images lie in its memory, augmented inside the step;"
        " null: the accelerator where there is one",
    )
    random_resized_crop: RandomResizedCropSettings | None = None
    translation: Share = Field(0.0, description="largest shift, share of the side")
    horizontal_flip: Probability = 0.0
    rand_augment: RandAugmentSettings | None = None
    random_erasing: RandomErasingSettings | None = None
    mixup: MixUpSettings | None = None
    cutmix: CutMixSettings | None = None

    @model_validator(mode="after")
    def _agree(self):
        probabilities = [each.probability for each in (self.mixup, self.cutmix) if each]
        if sum(probabilities) > 1:
            raise ValueError(
                f"mixup and cutmix: received probabilities {probabilities}, expected at most 1"
                " together: an image is mixed once"
            )
        return self


class OptimizerSettings(Section):
    """What every optimizer has."""

    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = Field(0.0, description="decoupled; not on norms and biases")
    l2: NonNegative = Field(
        0.0, description="share of a weight added to its gradient; not on norms and biases"
    )
    clip_norm: Positive | None = Field(None, description="of all gradients together")
    gradient_accumulation_steps: Count = Field(
        1, description="batches whose gradients are averaged"
    )
    ema: OpenShare | None = Field(
        None, description="momentum of the moving average of the weights, for a step"
    )


class AdamSettings(OptimizerSettings):
    """Adam."""

    name: Literal["adam"] = "adam"
    beta_1: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Positive = 1e-7


class AdamWSettings(AdamSettings):
    """Adam with decoupled weight decay on by default."""

    name: Literal["adamw"] = "adamw"
    weight_decay: NonNegative = 0.004


class SgdSettings(OptimizerSettings):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: Share = 0.9
    nesterov: StrictBool = False


class RmspropSettings(OptimizerSettings):
    """RMSprop."""

    name: Literal["rmsprop"] = "rmsprop"
    rho: Share = 0.9
    momentum: Share = 0.0


class LionSettings(OptimizerSettings):
    """Lion."""

    name: Literal["lion"] = "lion"
    learning_rate: Positive = 1e-4
    beta_1: Share = 0.9
    beta_2: Share = 0.99


class MuonSettings(OptimizerSettings):
    """Muon on the blocks' matrices, AdamW on the stem, the head, norms and biases."""

    name: Literal["muon"] = "muon"
    learning_rate: Positive = 0.03
    adam_learning_rate: Positive = Field(2e-3, description="for what Muon does not train")
    momentum: Share = 0.95


class ConstantSchedule(Section):
    """The same learning rate throughout."""

    name: Literal["constant"] = "constant"


class ExponentialSchedule(Section):
    """The learning rate is multiplied by `gamma` after each epoch."""

    name: Literal["exponential"] = "exponential"
    gamma: Annotated[FiniteFloat, Field(gt=0, le=1, strict=True)] = 0.9


class CosineSchedule(Section):
    """Linear warmup, then half a cosine down to `final_share` of the learning rate."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: NonNegative = 1.0
    final_share: Share = 0.0


class PlateauSettings(Section):
    """ReduceLROnPlateau."""

    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    factor: OpenShare = 0.1
    patience: Count = Field(10, description="epochs")
    min_learning_rate: NonNegative = 0.0


class EarlyStoppingSettings(Section):
    """Stop when the monitored value has not improved for `patience` epochs."""

    monitor: Literal["val_loss", "val_accuracy"] = "val_accuracy"
    patience: Count = Field(10, description="epochs")
    min_delta: NonNegative = 0.0


class FinetuneSettings(Section):
    """Start from another run's weights."""

    run: str = Field(description="the folder of the run to start from")
    freeze: list[str] = Field([], description="stem, blocks.0-5, or names of layers")
    layer_decay: Annotated[FiniteFloat, Field(gt=0, le=1, strict=True)] = Field(
        1.0, description="learning rate of a block as a share of the next one's"
    )


class TrainingSettings(Section):
    """How long, how exactly, on what."""

    epochs: Count = 20
    seed: Seed = 0
    label_smoothing: Share = 0.0
    early_stopping: EarlyStoppingSettings | None = None
    backend: Literal["tensorflow", "jax", "torch"] | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit: StrictBool | None = Field(None, description="null: as measured for backend and model")
    steps_per_execution: Count = 1
    tensorboard: StrictBool = False


class Settings(Section):
    """Everything a run depends on."""

    data: DataSettings = DataSettings()
    augment: AugmentSettings = AugmentSettings()
    model: Annotated[
        MixerSettings | ShiftMlpSettings | MlpSettings | CnnSettings, Field(discriminator="name")
    ] = MixerSettings()
    optimizer: Annotated[
        AdamSettings | AdamWSettings | SgdSettings | RmspropSettings | LionSettings | MuonSettings,
        Field(discriminator="name"),
    ] = AdamSettings()
    schedule: Annotated[
        ConstantSchedule | ExponentialSchedule | CosineSchedule, Field(discriminator="name")
    ] = CosineSchedule()
    plateau: PlateauSettings | None = None
    finetune: FinetuneSettings | None = None
    training: TrainingSettings = TrainingSettings()

    @property
    def soft_labels(self):
        """Why training figures are not comparable with validation's, in words, or None."""
        mixed = self.augment.mixup or self.augment.cutmix
        kinds = ["mixed"] * bool(mixed) + ["smoothed"] * bool(self.training.label_smoothing)
        return f"{' and '.join(kinds)} labels" if kinds else None

    @model_validator(mode="after")
    def _agree(self):
        if self.plateau and self.schedule.name == "cosine":
            raise ValueError(
                "plateau: ReduceLROnPlateau cannot change the learning rate of schedule.name"
                " 'cosine'; use schedule.name 'constant' or 'exponential', or plateau null"
            )
        if isinstance(self.schedule, CosineSchedule):
            _check_warmup(self.schedule.warmup_epochs, self.training.epochs)
        return self


def _check_range(name, bounds, most=float("inf")):
    low, high = bounds
    if low > high or high > most:
        limit = f" with max <= {most}" if most != float("inf") else ""
        raise ValueError(f"{name}: received [{low}, {high}], expected [min, max]{limit}")


def _check_warmup(warmup_epochs, epochs):
    if warmup_epochs > epochs:
        raise ValueError(
            f"schedule.warmup_epochs: received {warmup_epochs:g}, expected at most"
            f" training.epochs, {epochs}"
        )
