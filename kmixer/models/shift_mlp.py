"""The spatial-shift MLP (Yu et al., arXiv 2106.07477) in stages of falling resolution."""

import keras

from ..layers import Dropout, ShiftBlock, initializer, patch_grid
from .input_and_head import images_in, logits_out


def ShiftMlp(input_shape, classes, *, stages, activation="gelu_tanh", head_dropout=0.0,
             stochastic_depth=0.0, norm_epsilon=1e-6, kernel_initializer="glorot_uniform",
             mean=None, std=None, resize_size=None, crop_size=None, name="shift_mlp"):  # fmt: skip
    """Build a spatial-shift MLP that takes uint8 images and returns float32 logits.

    Every stage embeds patches, of pixels or of the stage before's tokens, by one dense layer, then
    runs its blocks on the grid of tokens.

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
        SettingsError: the patches of a stage do not fit what is there.
    """
    images, x = images_in(input_shape, mean, std, resize_size, crop_size)
    last = max(sum(stage["blocks"] for stage in stages) - 1, 1)
    done = 0
    for index, stage in enumerate(stages):
        x = _embed(x, index, stage, kernel_initializer)
        for _ in range(stage["blocks"]):
            x = ShiftBlock(
                stage["mlp_dim"],
                activation,
                stochastic_depth * done / last,
                initializer(kernel_initializer, "dense"),
                norm_epsilon,
                name=f"shift_block_{done}",
            )(x)
            done += 1
    x = keras.layers.LayerNormalization(epsilon=norm_epsilon, name="pre_head_layer_norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean_over_tokens")(x)  # (batch, channels)
    if head_dropout:
        x = Dropout(head_dropout, name="head_dropout")(x)
    return keras.Model(images, logits_out(x, classes, kernel_initializer), name=name)


def _embed(x, index, stage, kernel_initializer):  # (batch, rows, columns, channels)
    size = stage["patch_size"]
    stride = stage.get("patch_stride") or size
    patch_grid(x.shape[1:3], size, stride, f"model.stages.{index}")
    return keras.layers.Conv2D(
        stage["dim"], size, stride, name="stem" if index == 0 else f"stem_{index}",
        kernel_initializer=initializer(kernel_initializer, "conv"),
    )(x)  # fmt: skip
