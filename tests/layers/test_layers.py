"""Each layer: its basics (shapes, config, save and load) and numbers that can be checked by eye."""

import doctest
from importlib import import_module

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from kmixer.augment import RandomTranslation
from kmixer.errors import SettingsError
from kmixer.layers import (
    Conv2D,
    Dense,
    Dropout,
    LayerNormalization,
    MixerBlock,
    MlpBlock,
    Patches,
    ResizeCrop,
    ShiftBlock,
    SpatialShift,
    gelu_tanh,
)

CASES = [
    (Patches(4), (2, 8, 12, 3), (2, 6, 48)),
    (Patches(4, 2), (2, 8, 8, 1), (2, 9, 16)),
    (Dropout(0.5, seed=1), (2, 5, 6), (2, 5, 6)),
    (SpatialShift(), (2, 3, 4, 18), (2, 3, 4, 18)),
    (MlpBlock(7), (2, 5, 6), (2, 5, 6)),
    (MlpBlock(7, 3, "relu", 0.5, "he_normal"), (2, 5, 6), (2, 5, 3)),
    (MixerBlock(7, 8), (2, 5, 6), (2, 5, 6)),
    (MixerBlock(7, 8, dropout=0.1, stochastic_depth=0.2), (2, 5, 6), (2, 5, 6)),
    (ShiftBlock(12), (2, 3, 4, 6), (2, 3, 4, 6)),
    (ShiftBlock(12, "relu", 0.2, "he_normal"), (2, 3, 4, 6), (2, 3, 4, 6)),
    (MixerBlock(7, 8, 4, skip_connections=False, norm_position="post"), (2, 5, 6), (2, 5, 4)),
    (MixerBlock(7, 8, norm_position="none"), (2, 5, 6), (2, 5, 6)),
    (ResizeCrop(16, 14), (2, 8, 8, 3), (2, 14, 14, 3)),
    (ResizeCrop(crop_size=6), (2, 8, 9, 1), (2, 6, 6, 1)),
]


def ids(case):
    return case.name if isinstance(case, keras.layers.Layer) else None


@pytest.mark.backends
@pytest.mark.parametrize(("layer", "shape", "output"), CASES, ids=ids)
def test_basics(layer, shape, output, tmp_path):
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    inputs = keras.Input(shape[1:])
    model = keras.Model(inputs, copy(inputs))
    y = ops.convert_to_numpy(model(x))
    assert y.shape == output == copy.compute_output_shape(shape)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.allclose(ops.convert_to_numpy(loaded(x)), y, atol=1e-6)


@pytest.mark.parametrize(("layer", "shape", "output"), CASES, ids=ids)
def test_a_config_is_exactly_the_constructors_arguments(layer, shape, output):
    import inspect

    arguments = set(inspect.signature(type(layer).__init__).parameters) - {"self", "kwargs"}
    base = set(keras.layers.Layer().get_config())
    assert set(layer.get_config()) - base == arguments


@pytest.mark.backends
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("layer", "shape", "output"), CASES[4:], ids=ids)
def test_mixed_precision_computes_in_half_and_keeps_float32_weights(layer, shape, output, policy):
    half = type(layer).from_config(layer.get_config() | {"dtype": policy})
    y = half(np.ones(shape, np.float32))
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert all(weight.dtype == "float32" for weight in half.weights)
    assert np.isfinite(ops.convert_to_numpy(ops.cast(y, "float32"))).all()


@pytest.mark.backends
def test_patches_are_cut_row_by_row():
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    patches = ops.convert_to_numpy(Patches(2)(image))
    assert patches[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    overlapping = ops.convert_to_numpy(Patches(3, 1)(image))
    assert overlapping.shape == (1, 4, 9) and overlapping[0, 1, 0] == 1


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        (
            Patches(8),
            "patch_size 8 does not fit an image side of 28; the nearest that divide it: 2, 4, 7",
        ),
        (Patches(30), "patch_size 30 does not fit an image side of 28; .*: 7, 14, 28"),
        (Patches(10, 7), "fit this stride: 7, 14, 21; strides that fit this patch size: 3, 6, 9"),
    ],
)
def test_patches_that_do_not_fit_are_refused_with_the_nearest_that_do(patches, message):
    with pytest.raises(SettingsError, match=message):
        patches(np.zeros((1, 28, 28, 1), np.float32))


@pytest.mark.backends
def test_gelu_tanh_is_the_originals():
    x = np.array([-1.0, 0.0, 1.0, 3.0], np.float32)
    expected = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    assert np.allclose(ops.convert_to_numpy(gelu_tanh(x)), expected, atol=1e-6)


def constant_weights(layer, value):
    for weight in layer.weights:
        weight.assign(np.full(weight.shape, value, np.float32))


def _finalised(word, key=0):
    """MurmurHash3's finaliser but for its last step, in whole numbers of 32 bits."""
    word = (word ^ word >> 16) * 0x85EBCA6B % 2**32
    return (word ^ word >> 13 ^ key) * 0xC2B2AE35 % 2**32


@pytest.mark.backends
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch draws by itself")
def test_dropout_drops_what_the_hash_says():
    golden, seed = 0x9E3779B9, 7
    for step in range(3):
        start = _finalised((seed + _finalised((step + golden) % 2**32)) % 2**32)
        key = _finalised((start + golden) % 2**32)
        words = [_finalised((i * golden + start) % 2**32, key) for i in range(12)]
        signed = [word - 2**32 * (word >= 2**31) for word in words]
        kept = np.array([word >= 0.25 * 2**32 - 2**31 for word in signed]).reshape(3, 4)
        layer = Dropout(0.25, seed=seed)
        for _ in range(step + 1):
            y = ops.convert_to_numpy(layer(np.ones((3, 4), np.float32), training=True))
        assert np.allclose(y, kept / 0.75)


@pytest.mark.backends
def test_dropout_is_even_over_steps_and_places_and_off_outside_training():
    layer, x = Dropout(0.1, seed=1), np.ones((64, 64), np.float32)
    dropped = np.stack(
        [ops.convert_to_numpy(layer(x, training=True)) == 0 for _ in range(200)]
    ).reshape(200, -1)
    deviation = np.sqrt(0.1 * 0.9)
    assert abs(dropped.mean(axis=1) - 0.1).max() < 5 * deviation / 64
    assert abs(dropped.mean(axis=0) - 0.1).max() < 5 * deviation / np.sqrt(200)
    between_steps = np.corrcoef(dropped)[np.triu_indices(200, 1)]
    assert abs(between_steps).max() < 6 / 64
    assert np.array_equal(ops.convert_to_numpy(layer(x)), x)


@pytest.mark.backends
def test_dropout_repeats_its_draws_from_the_seed():
    x = np.ones((7, 11), np.float32)
    first, second = (Dropout(0.5, seed=5) for _ in range(2))
    draws = [
        [ops.convert_to_numpy(layer(x, training=True)) for _ in range(3)]
        for layer in (first, second)
    ]
    assert np.array_equal(*draws) and not np.array_equal(draws[0][0], draws[0][1])


KERAS_OWN = {
    Dense: (keras.layers.Dense, {"units": 5, "activation": "tanh"}, (3, 4, 6)),
    LayerNormalization: (keras.layers.LayerNormalization, {}, (3, 4, 6)),
    Conv2D: (keras.layers.Conv2D, {"filters": 5, "kernel_size": 4, "strides": 2}, (2, 10, 8, 3)),
}


@pytest.mark.backends
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("layer_class", KERAS_OWN)
def test_what_trains_on_torch_is_keras_own_function(layer_class, precision):
    own_class, options, shape = KERAS_OWN[layer_class]
    ours, own = (c(**options, dtype=precision) for c in (layer_class, own_class))
    x = np.random.default_rng(0).normal(1, 2, shape).astype(np.float32)
    for layer in (ours, own):
        layer.build(shape)
        for index, weight in enumerate(layer.weights):
            weight.assign(np.random.default_rng(index).normal(size=weight.shape).astype(np.float32))
    trained, measured, expected = ours(x, training=True), ours(x), own(x)
    assert trained.dtype == measured.dtype == expected.dtype
    trained, measured, expected = (
        ops.convert_to_numpy(ops.cast(y, "float32")) for y in (trained, measured, expected)
    )
    assert np.array_equal(measured, expected)
    scale = np.abs(expected).max()
    assert np.abs(trained - expected).max() < scale * (1e-6 if precision == "float32" else 1e-2)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch alone")
@pytest.mark.backends
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_norm_off_the_processor_has_weights_of_its_inputs_type(device, monkeypatch):
    """CUDA's layer norm refuses others, where the processor's takes float32 beside bfloat16."""
    import torch
    from torch.nn import functional

    types = []
    monkeypatch.setattr(
        functional, "layer_norm",
        lambda x, shape, weight, bias, epsilon: types.append((x.dtype, weight.dtype, bias.dtype)),
    )  # fmt: skip
    layer = LayerNormalization(dtype="mixed_bfloat16")
    layer.build((2, 6))
    with keras.device(device):
        layer.call(torch.zeros((2, 6), device=device), training=True)
    of_weights = torch.float32 if device == "cpu" else torch.bfloat16
    assert types == [(torch.bfloat16, of_weights, of_weights)]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch alone")
@pytest.mark.backends
def test_a_shift_on_torch_and_its_gradient_are_those_of_slices():
    import torch

    random = np.random.default_rng(0)
    x, weights = (torch.from_numpy(random.normal(size=(2, 3, 5, 20))) for _ in range(2))
    shift, outputs, gradients = SpatialShift(dtype="float64"), [], []
    for training in (True, False):
        leaf = x.clone().requires_grad_()
        y = shift(leaf, training=training)
        (y * weights).sum().backward()
        outputs.append(y.detach())
        gradients.append(leaf.grad)
    assert torch.equal(*outputs) and torch.allclose(*gradients, atol=1e-12)


def test_mlp_block_by_hand():
    """Weights and biases 1, ReLU: hidden = 1 + 2 + 1 = 4 each; output = 3·4 + 1 = 13."""
    block = MlpBlock(3, 2, "relu")
    block.build((None, 2))
    constant_weights(block, 1.0)
    assert ops.convert_to_numpy(block(np.array([[1.0, 2.0]], np.float32))).tolist() == [
        [13.0, 13.0]
    ]


def numpy_block(block, x, skip):
    """The block's equations in NumPy, with its own weights."""

    def norm(layer, x, position):
        if block.norm_position != position:
            return x
        gamma, beta = (ops.convert_to_numpy(w) for w in layer.weights)
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + block.norm_epsilon) * gamma + beta

    def mlp(layer, x):
        w1, b1, w2, b2 = (ops.convert_to_numpy(w) for w in layer.weights)
        h = x @ w1 + b1
        h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        return h @ w2 + b2

    y = norm(block.token_norm, x, "pre")
    y = mlp(block.token_mixing, y.swapaxes(1, 2)).swapaxes(1, 2)
    x = norm(block.token_norm, x + y if skip else y, "post")
    y = mlp(block.channel_mixing, norm(block.channel_norm, x, "pre"))
    return norm(block.channel_norm, x + y if skip else y, "post")


@pytest.mark.backends
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("norm_position", ["pre", "post", "none"])
def test_mixer_block_is_the_papers_equation(skip, norm_position):
    block = MixerBlock(7, 8, skip_connections=skip, norm_position=norm_position, norm_epsilon=1e-6)
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    block.build(x.shape)
    for index, weight in enumerate(block.weights):
        weight.assign(np.random.default_rng(index).normal(size=weight.shape).astype(np.float32) / 2)
    assert np.allclose(ops.convert_to_numpy(block(x)), numpy_block(block, x, skip), atol=2e-5)


@pytest.mark.backends
def test_every_ninth_of_the_channels_comes_from_another_neighbour():
    """Nine channels that all hold 1..9 in a 3×3 grid: at the centre each shows its neighbour."""
    grid = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3, 1).repeat(9, axis=-1)
    shifted = ops.convert_to_numpy(SpatialShift()(grid))[0]
    assert shifted[1, 1].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert shifted[0, 0].tolist() == [0, 0, 0, 0, 1, 2, 0, 4, 5]  # zeros come in at the edges


@pytest.mark.backends
def test_shift_block_by_hand():
    x = np.random.default_rng(0).random((1, 2, 2, 3), dtype=np.float32)
    block = ShiftBlock(9, "relu")
    block(x)
    for weight in (block.hidden.kernel, block.project.kernel):
        weight.assign(np.random.default_rng(1).random(weight.shape))
    norm = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    hidden = np.maximum(norm @ ops.convert_to_numpy(block.hidden.kernel), 0)
    moved = ops.convert_to_numpy(SpatialShift()(hidden))
    expected = x + moved @ ops.convert_to_numpy(block.project.kernel)
    assert np.allclose(ops.convert_to_numpy(block(x)), expected, atol=1e-5)


@pytest.mark.backends
def test_tokens_are_mixed_and_images_are_not():
    block = MixerBlock(7, 8)
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    before = ops.convert_to_numpy(block(x))
    x[0, 0] += np.arange(6)
    after = ops.convert_to_numpy(block(x))
    assert (np.abs(after - before)[0].max(axis=1) > 1e-4).all()
    assert np.allclose(after[1], before[1], atol=1e-6)


@pytest.mark.backends
def test_stochastic_depth_leaves_whole_mlps_out_and_scales_the_rest():
    """Zero kernels, bias 1 at the end: each MLP adds 0 or 1/(1 − 0.75) = 4 to an image."""
    block = MixerBlock(2, 2, stochastic_depth=0.75)
    block.build((None, 3, 4))
    constant_weights(block, 0.0)
    for mlp in (block.token_mixing, block.channel_mixing):
        mlp.output_dense.bias.assign(np.ones(mlp.output_dense.bias.shape, np.float32))
    x = np.zeros((400, 3, 4), np.float32)
    added = ops.convert_to_numpy(block(x, training=True))
    assert np.ptp(added.reshape(400, -1), axis=1).max() == 0
    assert set(np.unique(added)) == {0.0, 4.0, 8.0}
    assert abs(added.mean() - 2) < 0.5
    assert (ops.convert_to_numpy(block(x, training=False)) == 2).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"output_dim": 3},
        {"norm_position": "middle"},
        {"stochastic_depth": 0.1, "skip_connections": False},
    ],
)
def test_what_contradicts_itself_is_refused(arguments):
    with pytest.raises(ValueError, match=r"skip_connections|norm_position"):
        MixerBlock(2, 2, **arguments).build((None, 3, 4))


@pytest.mark.backends
def test_resizing_to_twice_the_size_by_hand():
    row = np.array([0, 100, 200], np.uint8)
    images = np.broadcast_to(row, (1, 3, 3))[..., None]
    larger = ops.convert_to_numpy(ResizeCrop(6)(images))[0, :, :, 0]
    assert np.allclose(larger, [[0, 25, 75, 125, 175, 200]] * 6, atol=1e-3)
    centre = ops.convert_to_numpy(ResizeCrop(6, 4)(images))[0, :, :, 0]
    assert np.allclose(centre, larger[1:5, 1:5], atol=1e-3)


@pytest.mark.backends
@pytest.mark.parametrize(
    ("size", "resize", "crop"),
    [((32, 32), 256, 224), ((48, 64), 24, 20), ((32, 40), None, 20), ((20, 20), 33, None)],
)
def test_resizing_is_pillows_to_a_grey_level(size, resize, crop):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    made = ops.convert_to_numpy(ResizeCrop(resize, crop)(pixels[None]))[0]
    scale, crop = (resize or min(size)) / min(size), crop or resize
    height, width = (round(side * scale) for side in size)
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - crop) // 2, (height - crop) // 2
    expected = np.asarray(resized.crop((left, top, left + crop, top + crop)), float)
    assert np.abs(made - expected).max() <= 1.01  # Pillow rounds twice


def test_a_shifted_crop_is_a_crop_elsewhere_of_the_resized_image():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    shift = RandomTranslation(0.0625, fill_mode="nearest")  # by at most 2 of 32 pixels
    whole = ops.convert_to_numpy(ResizeCrop(256)(pixels))
    for draws, top, left in (((0, 0.99), 32, 0), ((0.5, 0.5), 16, 16), ((0.3, 0.7), 24, 8)):
        shifted = shift.transform(pixels, np.array([draws], np.float32))
        crop = ops.convert_to_numpy(ResizeCrop(256, 224)(shifted))
        assert np.allclose(crop, whole[:, top : top + 224, left : left + 224], atol=1e-2)


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="crop_size: received 9, expected at most the 8 pixels"):
        ResizeCrop(crop_size=9)(np.zeros((1, 8, 8, 1), np.uint8))


@pytest.mark.backends
@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_saved_weights_lie_at_the_names_that_older_files_have(norm_position, tmp_path):
    import h5py

    inputs = keras.Input((5, 6))
    model = keras.Model(inputs, MixerBlock(7, 8, norm_position=norm_position)(inputs))
    model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5") as file:
        arrays = []
        file.visititems(lambda name, item: arrays.append(name) if hasattr(item, "shape") else None)
    mlps = [
        f"{m}/{d}" for m in ("channel_mixing", "token_mixing") for d in ("hidden", "output_dense")
    ]
    expected = [f"layers/mixer_block/{part}/vars/{number}"
                for part in ("channel_norm", "token_norm", *mlps) for number in (0, 1)]  # fmt: skip
    assert sorted(arrays) == sorted(expected)


@pytest.mark.parametrize(
    "module", ["dropout", "mixer_block", "mlp_block", "patches", "resize_crop", "shift_block"]
)
def test_the_examples_in_the_docstrings_are_right(module):
    results = doctest.testmod(import_module(f"kmixer.layers.{module}"))
    assert results.attempted and not results.failed
