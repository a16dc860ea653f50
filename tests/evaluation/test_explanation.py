"""Why a class: parts that add up to the logit, on the pixels that they are of."""

import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import kmixer
from changed_run import changed_run, name_files
from kmixer.errors import DataError, RunError, SettingsError
from kmixer.evaluation import heat_maps
from kmixer.evaluation.explanation import explain, look_with_keras, look_without_keras
from kmixer.evaluation.integrated_gradients import STEPS, look_by_gradients, squares
from kmixer.exporting.artifact import load_artifact
from kmixer.exporting.origin import run_beside
from kmixer.models import Mlp, MlpMixer
from kmixer.models.token_areas import token_areas

STAGES = [
    {"patch_size": 2, "patch_stride": 1, "dim": 9, "mlp_dim": 20, "blocks": 1},
    {"patch_size": 3, "patch_stride": 2, "dim": 14, "mlp_dim": 19, "blocks": 1},
]
TOKENS = {
    "overlapping": {"model": {"patch_stride": 2}},
    "border padded": {"model": {"patch_stride": 3, "patch_border": "pad", "stem": "dense"}},
    "border dropped": {"model": {"patch_stride": 3, "patch_border": "drop"}},
    "post-norm, no norm before the head": {
        "model": {"norm_position": "post", "pre_head_layer_norm": False, "head_dropout": 0.1}
    },
    "no norm, no skips": {
        "model": {"norm_position": "none", "skip_connections": False, "block_dims": [6, 7]}
    },
    "shift_mlp": {"model": {"name": "shift_mlp", "stages": STAGES}},
    "bfloat16": {"training": {"precision": "mixed_bfloat16"}},
    "resized": {"data": {"resize_size": 12, "crop_size": 12}},
}
EACH_BACKEND = {"overlapping", "post-norm, no norm before the head"}  # JAX compiles each operation
IMAGE = np.random.default_rng(1).integers(0, 256, (8, 8, 1), dtype=np.uint8)


def changed(trained_run, folder, changes):
    """A copy of the run with another model, whose logits are of some size."""
    run = changed_run(trained_run, folder, **changes)
    keras.utils.set_random_seed(0)
    model = run.build_model()
    for weight in model.weights:
        if weight.path.startswith("head"):
            weight.assign(np.random.default_rng(0).normal(0, 1, weight.shape))
    run.save_model(model)
    name_files(run)
    return run


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.backends] * (n in EACH_BACKEND)) for n in TOKENS]
)
def test_the_tokens_parts_and_the_bias_are_the_logit(name, trained_run, tmp_path):
    run = changed(trained_run, tmp_path / "run", TOKENS[name])
    logits = keras.ops.convert_to_numpy(run.in_float32().load_model()(IMAGE[None]))[0]
    looks = [look_with_keras(run, "tokens"), look_without_keras(run)]
    assert (looks[1] is None) == (name == "resized")  # which Keras alone does
    for look in filter(None, looks):
        explanation = explain(look(IMAGE), run.class_names, label=1)
        one = explanation.chosen
        assert explanation.method == "tokens" and one.name == run.class_names[1]
        assert one.parts.sum() + one.constant == pytest.approx(logits[1], abs=1e-4)
        assert one.heat.sum() == pytest.approx(one.parts.sum(), abs=1e-9)
        assert one.heat.shape == ((12, 12) if name == "resized" else (8, 8))
        assert explanation.seen.shape[:2] == one.heat.shape
        both = one.probability + explanation.other.probability
        assert both == pytest.approx(1) and abs(one.missed) < 1e-4


@pytest.mark.parametrize(
    "model, left",
    [
        ({"name": "mlp", "hidden_dims": [6]}, 0.011),
        pytest.param(
            {"name": "cnn", "stages": [{"filters": 4, "batch_norm": True, "pool": 2}]},
            0.1,  # many kinks: what is missed falls with the steps, of which the default has 256
            marks=pytest.mark.backends,
        ),
        ({"name": "mixer"}, 0.011),
    ],
    ids=["mlp", "cnn", "mixer"],
)
def test_integrated_gradients_add_up_to_what_the_image_changes(model, left, trained_run, tmp_path):
    run = changed(trained_run, tmp_path / "run", {"model": model})
    network = run.load_model()
    logits, black = keras.ops.convert_to_numpy(network(np.stack([IMAGE, 0 * IMAGE])))
    look = look_by_gradients(network, most_steps=2048)
    one = explain(look(IMAGE), run.class_names, label=0).chosen
    assert one.constant == pytest.approx(black[0], abs=1e-4)
    assert one.parts.sum() == pytest.approx(logits[0] - black[0], abs=0.011)
    assert one.heat.sum() == pytest.approx(one.parts.sum(), abs=1e-9)
    assert np.abs(one.parts).sum() > 0.01  # or nothing was asked

    by_default = explain(look_with_keras(run)(IMAGE), run.class_names, label=0).chosen
    told = logits[0] - black[0] - by_default.parts.sum()
    assert by_default.missed == pytest.approx(told, abs=1e-4)
    assert abs(told) < left


def test_gradients_of_a_linear_model_by_hand():
    model = Mlp((2, 3, 1), 2, hidden_dims=[])  # logits = pixels / 255 · kernel
    kernel = np.arange(12, dtype="float32").reshape(6, 2)
    model.get_layer("head").kernel.assign(kernel)
    image = np.array([[[255], [0], [51]], [[0], [102], [255]]], np.uint8)
    parts, constant = look_by_gradients(model)(image).split(1)
    expected = [[1, 0, 0.2 * 5], [0, 0.4 * 9, 11]]
    np.testing.assert_allclose(parts, expected, atol=1e-5)
    assert constant == 0


def test_patches_lie_where_stride_and_border_put_them():
    assert token_areas(8, 6, [(4, 2)]).rows == ((0, 4), (2, 6), (4, 8))
    assert token_areas(8, 6, [(4, 2)]).columns == ((0, 4), (2, 6))
    assert token_areas(28, 28, [(14, 4)], "drop").rows[-1] == (12, 26)
    assert token_areas(8, 8, [(4, 3)], "pad").rows == ((0, 3), (2, 6), (5, 8))  # one zero each side
    assert token_areas(8, 8, [(2, 1), (3, 2)]).rows == ((0, 4), (2, 6), (4, 8))  # tokens of tokens
    assert token_areas(15, 15, [(2, 10)], "pad").rows == ((0, 0), (7, 9), (15, 15))


def test_a_part_is_spread_over_its_own_pixels_and_overlaps_add():
    heat = token_areas(4, 4, [(2, 1)]).spread(np.eye(3) * [4, 0, 8])
    assert heat.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]]
    both = token_areas(3, 2, [(2, 1)]).spread(np.array([[4.0], [8.0]]))
    assert both.tolist() == [[1, 1], [3, 3], [2, 2]]
    assert token_areas(15, 15, [(2, 10)], "pad").spread(np.ones((3, 3))).sum() == 1
    assert squares(40, 7).grid == (14, 3) and squares(40, 7).rows[-1] == (39, 40)


def corners(count, seed):
    """Images of 12×12 pixels with bright or dark corners; the class is the first corner's."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 60, (count, 12, 12, 1), dtype=np.uint8)
    bright = generator.integers(0, 2, (count, 4))
    for corner, (row, column) in enumerate([(0, 0), (0, 8), (8, 0), (8, 8)]):
        light = 150 * bright[:, corner, None, None, None]
        images[:, row : row + 4, column : column + 4] += light.astype(np.uint8)
    return images, bright[:, 0]


def test_a_class_that_depends_on_one_corner_lights_up_that_corner():
    """Mixing brings the corner to all tokens, but the map is of the image."""
    keras.utils.set_random_seed(0)
    sizes = {
        "patch_size": 4,
        "blocks": 1,
        "hidden_dim": 8,
        "tokens_mlp_dim": 4,
        "channels_mlp_dim": 8,
    }
    model = MlpMixer((12, 12, 1), 2, mean=[0.2], std=[0.25], **sizes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=False)
    model.fit(*corners(256, 0), batch_size=32, epochs=6, verbose=0)
    images, labels = corners(8, 1)
    assert (model.predict(images, verbose=0).argmax(axis=1) == labels).all()
    look = look_by_gradients(model, STEPS)
    maps = [explain(look(image), ["dark", "bright"], 1).difference for image in images[labels == 1]]
    patches = np.stack(maps).reshape(-1, 3, 4, 3, 4).sum(axis=(2, 4)).reshape(-1, 9)
    assert len(patches) > 2 and (patches.argmax(axis=1) == 0).all()
    first, *others = patches.mean(axis=0)
    assert first > 2 * np.abs(others).max()


def test_colors_are_clear_at_zero_and_alike_on_both_sides():
    heat = np.array([[-2.0, 0.0, 1.0]])
    against, none, half = heat_maps.colored(heat, heat_maps.largest_part(heat))[0].astype(int)
    assert tuple(against[:3]) == heat_maps.AGAINST and tuple(half[:3]) == heat_maps.FOR
    assert none[3] == 0 and against[3] == pytest.approx(2 * half[3], abs=1)
    assert heat_maps.largest_part(np.zeros((2, 2))) > 0  # of a map of zeros nothing is divided by 0
    assert len(heat_maps.as_png(np.zeros((90, 30)), 1.0, 32)) < 300


def test_a_run_explains_an_image_of_its_size_or_a_file(trained_run, image_folder, tmp_path):
    run = kmixer.load_run(trained_run.folder)
    file = image_folder / "test" / "above" / "000.png"
    explanation = run.explain(file)
    assert (explanation.chosen.name, explanation.other.name) == ("above", "below")
    assert explanation.difference[:4].sum() > 0  # bright above
    explanation.save(tmp_path / "why.png")
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    pixels = np.asarray(Image.open(file))[..., None]
    assert run.explain(pixels, "below", by="tokens").chosen.name == "below"
    with pytest.raises(DataError, match="received 2 images, expected one"):
        run.explain([file, file])
    with pytest.raises(SettingsError, match=r"received 'abov', expected.*nearest: 'above'"):
        run.explain(file, "abov")
    with pytest.raises(SettingsError, match="expected 'image' or 'tokens'"):
        run.explain(file, by="pixels")


def test_the_command_draws_beside_no_other_picture_and_over_no_image(
    run_command, trained_run, image_folder, tmp_path
):
    above, below = (image_folder / "test" / name / "000.png" for name in ("above", "below"))
    images = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.jpg", tmp_path / "x.explained.png"]
    for image, source in zip(images, (above, below, above), strict=True):
        image.parent.mkdir(exist_ok=True)
        Image.open(source).save(image)
    before = images[2].read_bytes()
    done = run_command(
        "predict", trained_run.folder, *images, "--explain", "--explain-by", "tokens", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert images[2].read_bytes() == before
    found = [image["explanation"] for image in json.loads(done.stdout)["images"]]
    names = ["x-2.explained.png", "x-3.explained.png", "x.explained.explained.png"]
    assert [one["picture"] for one in found] == names
    assert all((tmp_path / name).is_file() for name in names)
    for one in found:
        chosen = one["chosen"]
        total = np.sum(chosen["parts"]) + chosen["constant"]
        assert total == pytest.approx(chosen["logit"], abs=1e-4)
    assert [one["chosen"]["class"] for one in found] == ["above", "below", "above"]


REFUSED = {
    "out alone": (["--out", "x"], "expected --explain beside it"),
    "no such class": (["--explain-class", "abov"], "nearest: 'above'"),
    "no such way": (["--explain", "--explain-by", "x"], "expected 'image' or 'tokens'"),
    "a file": (["--explain", "--out", "taken/"], "cannot be made"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_explained_is_said_in_a_line(name, run_command, trained_run, tmp_path):
    (tmp_path / "taken").touch()
    words, message = REFUSED[name]
    done = run_command("predict", trained_run.folder, "x.png", *words, cwd=tmp_path)
    assert done.returncode in (1, 2) and message in done.stderr
    assert done.stderr.count("\n") == 1 and [*tmp_path.iterdir()] == [tmp_path / "taken"]


def test_an_export_is_explained_by_the_run_in_whose_folder_it_lies(
    run_command, trained_run, tflite_export, image_folder, tmp_path
):
    image = image_folder / "test" / "above" / "000.png"
    refused = run_command("predict", tflite_export.folder, image, "--explain", cwd=tmp_path)
    assert (
        refused.returncode == 1 and "needs the run that this export was made of" in refused.stderr
    )
    run = shutil.copytree(trained_run.folder, tmp_path / "run")
    export = shutil.copytree(tflite_export.folder, run / "export" / "tflite")
    assert run_beside(load_artifact(export)).folder == run
    done = run_command("predict", export, image, "--explain", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "000.explained.png").is_file()
    # Exports are made in float32, whatever the run was trained in.
    mixed = changed_run(trained_run, tmp_path / "mixed", training={"precision": "mixed_bfloat16"})
    assert run_beside(load_artifact(shutil.copytree(export, mixed.folder / "export" / "tflite")))
    other = changed_run(trained_run, tmp_path / "other", training={"seed": 9})
    with pytest.raises(RunError, match=r"which .*other is not"):
        run_beside(load_artifact(shutil.copytree(export, other.folder / "export" / "tflite")))
