"""What a model needs on a microcontroller: the plan by hand, the estimate beside a measurement."""

import keras
import numpy as np
import pytest

from kmixer.layers.chip_operators import ChipOperators, ChipTensor
from kmixer.models import Cnn, Mlp, MlpMixer, ShiftMlp, chip_memory
from kmixer.models.chip_memory import planned_bytes

SHAPE = (28, 28, 1)
MIXER = {
    "patch_size": 7,
    "blocks": 2,
    "hidden_dim": 64,
    "tokens_mlp_dim": 16,
    "channels_mlp_dim": 64,
}
STAGES = [
    {"patch_size": 4, "patch_stride": 2, "dim": 16, "mlp_dim": 36, "blocks": 1},
    {"patch_size": 3, "patch_stride": 2, "dim": 24, "mlp_dim": 48, "blocks": 1},
]
CONVOLUTIONS = [
    {"filters": 4, "batch_norm": True, "pool": 2},
    {"filters": 8, "padding": (1, 0), "pool": 2},
    {"filters": 8, "padding": "valid", "activation": "gelu"},
]
MODELS = {
    "mixer": lambda: MlpMixer(SHAPE, 10, **MIXER),
    "mixer of overlapping patches": lambda: MlpMixer(
        SHAPE, 10, **MIXER | {"patch_size": 8, "patch_stride": 4, "stem": "dense"}
    ),
    "mixer, post-norm, ReLU, batch norm": lambda: MlpMixer(
        SHAPE, 10, **MIXER, norm_position="post", activation="relu", stem_norm="batch"
    ),
    "mixer without norms": lambda: MlpMixer(
        SHAPE, 10, **MIXER, norm_position="none", pre_head_layer_norm=False
    ),
    "narrowing mixer": lambda: MlpMixer(
        SHAPE, 10, **MIXER, skip_connections=False, block_dims=[32, 16]
    ),
    "mixer of colors that crops": lambda: MlpMixer(
        (32, 32, 3), 10, **MIXER, resize_size=35, crop_size=28, mean=[0.4] * 3, std=[0.2] * 3
    ),
    "shift_mlp": lambda: ShiftMlp(SHAPE, 10, stages=STAGES),
    "mlp": lambda: Mlp(SHAPE, 10, hidden_dims=[64, 32], activation="leaky_relu"),
    "mlp on patches": lambda: Mlp(SHAPE, 10, hidden_dims=[64, 32], patch_size=7),
    "cnn": lambda: Cnn(SHAPE, 10, stages=CONVOLUTIONS, hidden_dims=[20]),
}


def test_the_largest_tensor_comes_first_and_others_go_where_they_are_free():
    tensors = [
        ChipTensor((100,), 0, 1),  # 112 with its alignment, above the 200
        ChipTensor((200,), 1, 2),  # at 0
        ChipTensor((100,), 2, 3),  # above it, too
        ChipTensor((16,), 3, 3),  # at 0 again
    ]
    assert planned_bytes(tensors) == 208 + 112
    assert planned_bytes([]) == 0


def test_operators_are_noted_from_shapes():
    operators = ChipOperators()
    x = operators.start((36, 128))
    y = operators.normalize(x)
    assert operators.count == 5 and y.shape == (36, 128)  # mean, less it, length, scale, offset
    assert [tensor.bytes for tensor in operators.tensors[:2]] == [36 * 128, 36]
    assert operators.constants == {"mean of 128": 128, "1": 4, "2": 128, "3": 128}
    assert operators.channels == 1 and operators.scales == 0  # of the product that is the mean
    assert (x.first, x.last, y.first, y.last) == (0, 1, 4, 4)
    assert operators.activate(y, keras.activations.relu) is y
    assert operators.transpose(y).shape == (128, 36)


def test_an_unknown_layer_with_weights_is_refused():
    images = keras.Input((4, 4, 1))
    model = keras.Model(images, keras.layers.DepthwiseConv2D(3)(images))
    with pytest.raises(TypeError, match="DepthwiseConv2D"):
        chip_memory.chip_memory(model)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_estimate_is_within_a_tenth_and_both_runtimes_answer_alike(name):
    pytest.importorskip("tflite_micro", reason="needs kmixer[micro]")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the conversion is TensorFlow's")
    from tensorflow.lite.tools import flatbuffer_utils

    from kmixer.exporting import micro_runtime
    from kmixer.exporting.writers import micro

    keras.utils.set_random_seed(0)
    model, generator = MODELS[name](), np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + generator.normal(0, 0.1, variable.shape))
    images = generator.integers(0, 256, (16, *model.input_shape[1:]), dtype=np.uint8)
    packed = micro.converted(model, model.input_shape[1:], images)
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(packed))
    estimated = chip_memory.chip_memory(model)
    assert estimated.flash == pytest.approx(len(content), rel=0.1)
    assert estimated.arena == pytest.approx(micro_runtime.arena_bytes(content), rel=0.1)
    chip, (litert, _) = (
        micro_runtime.open_chip(content),
        micro_runtime.open_litert(content, 1, reference=True),
    )
    for image in images:
        np.testing.assert_array_equal(chip(image[None]), litert(image[None]))
