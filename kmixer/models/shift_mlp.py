"""The spatial-shift MLP (Yu et al., arXiv 2106.07477) in stages of falling resolution."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..layers import Conv2D, Dropout, LayerNormalization, ShiftBlock, initializer, patch_grid
from ..layers.types import Tensor
from .input_and_head import image_input, logits_head


def ShiftMlp(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    stages: Sequence[Mapping[str, Any]],
    activation: str = "gelu_tanh",
    head_dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    norm_epsilon: float = 1e-6,
    kernel_initializer: str = "glorot_uniform",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize_size: int | None = None,
    crop_size: int | None = None,
    name: str = "shift_mlp",
) -> keras.Model:
    """Build a spatial-shift MLP that takes uint8 images and returns float32 logits.

    Every stage embeds patches, of pixels or of the previous stage's tokens, with one dense layer,
    then runs its blocks on the grid of tokens.

    Args:
        input_shape: (height, width, channels).
        classes: number of logits.
        stages: dicts of `patch_size`, `patch_stride` (default the size), `dim`, `mlp_dim` and
            `blocks`.
        activation: see `ShiftBlock`.
        head_dropout: before the classifier.
        stochastic_depth: of the last block; grows linearly from 0 at the first.
        norm_epsilon: of the layer norms.
        kernel_initializer: of every kernel; see `kmixer.layers.initializer`.
        mean: see `MlpMixer`.
        std: see `MlpMixer`.
        resize_size: see `MlpMixer`.
        crop_size: see `MlpMixer`.
        name: of the model.

    Returns:
        A `keras.Model`: uint8 `(batch, height, width, channels)` → float32 `(batch, classes)`.

    Raises:
        SettingsError: the patches of a stage do not fit the image, or the tokens, before it.

    Example:
        >>> stages = [{"patch_size": 4, "dim": 16, "mlp_dim": 32, "blocks": 2}]
        >>> ShiftMlp((28, 28, 1), 10, stages=stages).output_shape
        (None, 10)
    """
    images, x = image_input(input_shape, mean, std, resize_size, crop_size)
    last = max(sum(stage["blocks"] for stage in stages) - 1, 1)
    block = 0
    for index, stage in enumerate(stages):
        x = _embed(x, index, stage, kernel_initializer)
        for _ in range(stage["blocks"]):
            x = ShiftBlock(
                stage["mlp_dim"],
                activation,
                stochastic_depth * block / last,
                initializer(kernel_initializer, "dense"),
                norm_epsilon,
                name=f"shift_block_{block}",
            )(x)  # (batch, rows, columns, channels)
            block += 1
    x = LayerNormalization(epsilon=norm_epsilon, name="pre_head_layer_norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean_over_tokens")(x)  # (batch, channels)
    if head_dropout:
        x = Dropout(head_dropout, name="head_dropout")(x)
    return keras.Model(images, logits_head(x, classes, kernel_initializer), name=name)


def _embed(x: Tensor, index: int, stage: Mapping[str, Any], kernel_initializer: str) -> Tensor:
    """Embed each patch of a stage's input: `(batch, rows, columns, dim)`."""
    size = stage["patch_size"]
    stride = stage.get("patch_stride") or size
    _, height, width, _ = x.shape
    patch_grid((height, width), size, stride, f"model.stages.{index}")  # raises if they do not fit
    return Conv2D(
        stage["dim"], size, stride, name="stem" if index == 0 else f"stem_{index}",
        kernel_initializer=initializer(kernel_initializer, "conv"),
    )(x)  # fmt: skip
