"""The settings of the optimizers and of their learning rate; `name` decides which."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, StrictBool

from .fields import Count, NonNegative, OpenShare, Positive, Section, Share


class OptimizerSettings(Section):
    """What every optimizer has."""

    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = Field(0.0, description="decoupled; not on norms and biases")
    l2: NonNegative = Field(
        0.0, description="share of a weight added to its gradient; not on norms and biases"
    )
    l2_on_all: StrictBool = Field(
        False, description="the l2 share on norms and biases, too, as PyTorch's weight decay has it"
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

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]  # another value, as meant
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


AnyOptimizer = Annotated[
    AdamSettings | AdamWSettings | SgdSettings | RmspropSettings | LionSettings | MuonSettings,
    Field(discriminator="name"),
]


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


AnySchedule = Annotated[
    ConstantSchedule | ExponentialSchedule | CosineSchedule, Field(discriminator="name")
]


class PlateauSettings(Section):
    """ReduceLROnPlateau."""

    monitor: Literal["val_loss", "val_accuracy", "test_loss"] = Field(
        "val_loss", description="test_loss: as reports did; needs training.test_every_epoch"
    )
    factor: OpenShare = 0.1
    patience: Count = Field(10, description="epochs")
    min_learning_rate: NonNegative = 0.0
