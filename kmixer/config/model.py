"""The settings of the models; `name` decides which."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StrictBool, model_validator

from .fields import Count, Positive, Section, Share, Size, Widths

Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal",
    "random_normal", "truncated_normal", "by_layer",
]  # fmt: skip
Activation = Literal["gelu_tanh", "gelu", "relu", "leaky_relu", "silu", "tanh", "linear"]
DEEPEST = 1_000  # blocks or layers; a deeper model takes minutes to build
INITIALIZER = "by_layer: random_normal for Dense, he_normal for Conv"
GELU = "null: the form of GELU that the backend computes faster: gelu on torch, else gelu_tanh"


class FamilySettings(Section):
    """The base of a model family's settings; its fields are the arguments of the builder.

    Attributes:
        builder: the name in `kmixer.models` of the function that builds the model.
        jit_backends: on which backends an open `training.jit` means on.
    """

    builder: ClassVar[str]
    # Measured on CPU (docs/adr/0004, 0007, 0009): JAX cannot train without XLA, it makes
    # TensorFlow's step of the small baselines up to four times slower, and torch.compile's start-up
    # of minutes is not earned back by a small model.
    jit_backends: ClassVar[tuple[str, ...]] = ("jax",)

    @property
    def depth(self) -> int:
        """How many blocks or layers with weights follow each other, at least."""
        raise NotImplementedError

    @property
    def patch_size_is_open(self) -> bool:
        """Whether the patch size is to be chosen by the images' side."""
        return False

    @property
    def patch_stages(self) -> list[tuple[int, int]] | None:
        """(patch size, stride) of each stage, where the logits are of a mean over tokens.

        None: they are not, or the patch size is open.
        """
        return None

    @model_validator(mode="after")
    def _is_not_endless(self) -> Self:
        if self.depth > DEEPEST:
            raise ValueError(
                f"received {self.depth:,} blocks or layers, expected at most {DEEPEST:,}"
            )
        return self


class AllMlpSettings(FamilySettings):
    """The base of the all-MLP families, whose step XLA makes faster on TensorFlow, too."""

    jit_backends: ClassVar[tuple[str, ...]] = ("tensorflow", "jax")

    @staticmethod
    def fast_gelu(backend: str) -> Activation:
        """Return which form of GELU an open `activation` means (docs/adr/0030)."""
        return "gelu" if backend == "torch" else "gelu_tanh"


class MixerSettings(AllMlpSettings):
    """The MLP-Mixer's shape, in the paper's words (arXiv 2105.01601, section 2)."""

    builder: ClassVar[str] = "MlpMixer"

    name: Literal["mixer"] = "mixer"
    patch_size: Count | None = Field(None, description="pixels; null: about seven patches a side")
    patch_stride: Count | None = Field(None, description="pixels; null: the patch size")
    patch_border: Literal["refuse", "drop", "pad"] = Field(
        "refuse",
        description="what becomes of the pixels behind the last whole patch of a row: drop: left"
        " out, as PyTorch's Unfold does; pad: zeros are added on both sides until another fits",
    )
    stem: Literal["conv", "dense"] = Field("conv", description="Conv2D, or Patches and Dense")
    stem_norm: Literal["none", "batch"] = Field("none", description="batch: over patch positions")
    blocks: Count = 4
    hidden_dim: Count = Field(128, description="channels of the stem")
    tokens_mlp_dim: Widths = Field(64, description="one width, or one per block")
    channels_mlp_dim: Widths = Field(256, description="one width, or one per block")
    block_dims: list[Count] | None = Field(None, description="channels after each block")
    skip_connections: StrictBool = True
    norm_position: Literal["pre", "post", "none"] = "pre"
    pre_head_layer_norm: StrictBool = True
    norm_epsilon: Positive = 1e-6
    activation: Activation | None = Field(None, description=GELU)
    dropout: Share = Field(0.0, description="inside the MLPs")
    head_dropout: Share = Field(0.0, description="before the classifier")
    stochastic_depth: Share = Field(0.0, description="of the last block, growing from 0")
    kernel_initializer: Initializer = Field("glorot_uniform", description=INITIALIZER)

    @property
    def depth(self) -> int:
        """How many blocks it has."""
        return self.blocks

    @property
    def patch_size_is_open(self) -> bool:
        """Whether the patch size is to be chosen by the images' side."""
        return self.patch_size is None

    @property
    def patch_stages(self) -> list[tuple[int, int]] | None:
        """(patch size, stride) of its patches."""
        size = self.patch_size
        return [(size, self.patch_stride or size)] if size else None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for name in ("tokens_mlp_dim", "channels_mlp_dim", "block_dims"):
            _check_count(name, getattr(self, name), self.blocks)
        if self.stochastic_depth and not self.skip_connections:
            raise ValueError(
                f"stochastic_depth: received {self.stochastic_depth}, expected 0 where"
                " skip_connections is false: nothing would be left of a block"
            )
        narrows = any(width != self.hidden_dim for width in self.block_dims or ())
        if narrows and self.skip_connections:
            raise ValueError(
                f"block_dims: received {self.block_dims}, expected all equal to"
                f" hidden_dim {self.hidden_dim} where skip_connections is true;"
                " set model.skip_connections to false to change the width"
            )
        return self


def _check_count(name: str, widths: int | list[int] | None, blocks: int) -> None:
    if isinstance(widths, list) and len(widths) != blocks:
        raise ValueError(
            f"{name}: received {len(widths)} widths {widths}, expected one per block"
            f" (blocks is {blocks})"
        )


class BaselineSettings(FamilySettings):
    """What the baselines have in common."""

    patch_size: Count | None = Field(
        None, description="cut images into patches first, each a pixel of many channels; null: no"
    )
    hidden_dims: list[Count] = Field([], description="widths of the hidden dense layers")
    activation: Activation = Field(
        "relu", description="of the hidden dense layers; leaky_relu has Keras' slope 0.2"
    )
    dropout: Share = Field(0.0, description="after each hidden dense layer")
    kernel_initializer: Initializer = Field("glorot_uniform", description=INITIALIZER)

    @property
    def depth(self) -> int:
        """How many hidden dense layers it has."""
        return len(self.hidden_dims)


class MlpSettings(BaselineSettings):
    """A multilayer perceptron on the flattened image."""

    builder: ClassVar[str] = "Mlp"

    name: Literal["mlp"] = "mlp"
    hidden_dims: list[Count] = Field([256], description="widths of the hidden dense layers")


class ConvStageSettings(Section):
    """One convolution and what follows it."""

    filters: Count
    kernel_size: Count = 3
    padding: Literal["same", "valid"] | tuple[Size, Size] = Field(
        "same", description="or [rows, columns] of zeros on each side"
    )
    batch_norm: StrictBool = False
    activation: Activation = "relu"
    pool: Count = Field(1, description="side and stride of the max pooling; 1: none")


class CnnSettings(BaselineSettings):
    """A plain convolutional network, VGG included: stages, flattened, then dense layers."""

    builder: ClassVar[str] = "Cnn"

    name: Literal["cnn"] = "cnn"
    stages: list[ConvStageSettings] = Field([ConvStageSettings(filters=32, pool=2)], min_length=1)

    @property
    def depth(self) -> int:
        """How many convolutions and hidden dense layers it has."""
        return len(self.stages) + len(self.hidden_dims)


class ShiftStageSettings(Section):
    """Patches of the image or of the previous stage's tokens, then blocks at that resolution."""

    patch_size: Count = Field(description="pixels in the first stage, tokens after it")
    patch_stride: Count | None = Field(None, description="null: the patch size")
    dim: Count = Field(description="channels of a token")
    mlp_dim: Count = Field(description="hidden width of the blocks")
    blocks: Count = 2


class ShiftMlpSettings(AllMlpSettings):
    """The spatial-shift MLP (arXiv 2106.07477): tokens mix because channels are shifted."""

    builder: ClassVar[str] = "ShiftMlp"

    name: Literal["shift_mlp"] = "shift_mlp"
    stages: list[ShiftStageSettings] = Field(
        [
            ShiftStageSettings(patch_size=4, patch_stride=2, dim=64, mlp_dim=128),
            ShiftStageSettings(patch_size=3, patch_stride=2, dim=128, mlp_dim=384, blocks=3),
        ],
        min_length=1,
    )
    activation: Activation | None = Field(None, description=GELU)
    head_dropout: Share = Field(0.0, description="before the classifier")
    stochastic_depth: Share = Field(0.0, description="of the last block, growing from 0")
    norm_epsilon: Positive = 1e-6
    kernel_initializer: Initializer = Field("glorot_uniform", description=INITIALIZER)

    @property
    def depth(self) -> int:
        """How many blocks it has in all stages."""
        return sum(stage.blocks for stage in self.stages)

    @property
    def patch_stages(self) -> list[tuple[int, int]] | None:
        """(patch size, stride) of each stage."""
        return [(s.patch_size, s.patch_stride or s.patch_size) for s in self.stages]


# The default comes first; a new family is one more member.
ModelSettings = Annotated[
    MixerSettings | ShiftMlpSettings | MlpSettings | CnnSettings, Field(discriminator="name")
]
