"""Starting from a run: its weights, another grid of patches, frozen and slower layers."""

import shutil

import keras
import numpy as np
import pytest

import kmixer
from interrupted_training import Signal, cut
from kmixer.config import loading
from kmixer.data import load_splits
from kmixer.data.asked import remember_data
from kmixer.errors import SettingsError
from kmixer.models import MlpMixer
from kmixer.runs.run import INFO, Run, RunError, create_run, load_run
from kmixer.training import finetuning
from kmixer.training.optimizer import build_optimizer
from kmixer.training.resolve import resolve
from kmixer.training.train import initial_model
from tiny_settings import tiny_settings

pytestmark = pytest.mark.backends

MIXER = {
    "patch_size": 2, "blocks": 3, "hidden_dim": 6, "tokens_mlp_dim": 5, "channels_mlp_dim": 7,
}  # fmt: skip


def build(*layers):
    return loading.build_settings(*layers[:-1], *map(loading.parse_assignment, layers[-1]))


@pytest.fixture(scope="module")
def source(image_folder, tmp_path_factory):
    nested = tiny_settings(image_folder, model=MIXER, training={"epochs": 1})
    return kmixer.train(build(nested, []), root=tmp_path_factory.mktemp("runs"), name="source")


def untrained(folder, image_folder, *assignments, model=MIXER):
    """Return a run whose weights are those that its model begins with."""
    data = tiny_settings(image_folder)["data"]
    settings = build({"data": data, "model": model}, assignments)
    dataset = load_splits(settings.data)
    info = dict.fromkeys(INFO) | {"input_shape": list(dataset.image_shape)}
    del info["format"]
    run = create_run(
        resolve(settings, dataset), info, dataset.class_names, root=folder, stem="untrained"
    )
    run.save_model(run.build_model())
    return run


def start(source, *assignments, image_size=None):
    """Settings of a fine-tuning of one epoch on the same small images."""
    data = {"name": source.settings.data.name, "batch_size": 16, "validation_size": 20}
    base = source.start_settings(image_size)
    short = {"data": data, "training": {"epochs": 1, "jit": False}}
    return build(base, short, assignments)


def values(model):
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}


def test_everything_starts_from_the_run_but_the_head_at_zero(source):
    model = initial_model(start(source), load_splits(start(source).data))
    old, new = values(source.load_model()), values(model)
    for path, value in new.items():
        assert np.array_equal(value, 0 * value if path.startswith("head/") else old[path]), path


def test_another_grid_by_hand():
    """One row of two tokens becomes one of four: each of the four stands for half of an old one."""
    down, up = finetuning.resizing((1, 2), (1, 4))
    assert np.allclose(up, [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    assert np.allclose(down.sum(axis=1), 1) and np.allclose(down[0], down[1, ::-1])
    kernel = np.array([[1.0], [3.0]])  # (2 tokens, 1 hidden)
    wider = finetuning.on_new_grid("token_mixing/hidden/kernel", kernel, down, up)
    assert wider.shape == (4, 1) and wider.sum() == pytest.approx(4)
    out = finetuning.on_new_grid("token_mixing/output/kernel", kernel.T, down, up)
    assert np.allclose(out, [[1, 1.5, 2.5, 3]])
    bias = finetuning.on_new_grid("token_mixing/output/bias", kernel[:, 0], down, up)
    assert np.allclose(bias, [1, 1.5, 2.5, 3])


def test_another_grid_by_hand_in_two_directions():
    """Two rows of three become four of three: rows are resized, columns stay."""
    _, up = finetuning.resizing((2, 3), (4, 3))
    rows = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    tokens = np.arange(6.0).reshape(2, 3)
    assert np.allclose((up @ tokens.ravel()).reshape(4, 3), rows @ tokens)


def test_a_block_on_another_grid_resizes_mixes_and_resizes_back():
    """By Keras' own resizing of images, on grids that are not square."""
    rng, old, new, hidden = np.random.default_rng(0), (2, 3), (5, 4), 7
    few, many = np.prod(old), np.prod(new)
    inner, out, bias = (
        rng.normal(size=(few, hidden)),
        rng.normal(size=(hidden, few)),
        rng.random(few),
    )

    def resize(tokens, grid, size):
        image = tokens.reshape(1, *grid, 1).astype("float32")
        resized = keras.ops.image.resize(image, size, "bilinear", antialias=True)
        return keras.ops.convert_to_numpy(resized).reshape(-1)

    matrices = finetuning.resizing(old, new)
    inner_new, out_new, bias_new = (
        finetuning.on_new_grid(f"token_mixing/{path}", value, *matrices)
        for path, value in (("hidden/kernel", inner), ("output/kernel", out), ("output/bias", bias))
    )
    tokens = rng.normal(size=many)
    mixed = np.maximum(resize(tokens, new, old) @ inner, 0) @ out + bias
    found = np.maximum(tokens @ inner_new, 0) @ out_new + bias_new
    np.testing.assert_allclose(found, resize(mixed, old, new), atol=1e-5)


def test_a_larger_image_of_one_colour_gives_the_same_answer(source):
    """Tokens that are all alike are mixed alike on every grid: nothing is lost in the resizing."""
    small = source.load_model()
    settings = start(source, "model.dropout=0", image_size=16)
    large = initial_model(settings, load_splits(settings.data))
    assert large.get_layer("mixer_block_0").input.shape[1] == 64
    for layer in ("stem", "pre_head_layer_norm"):
        for ours, theirs in zip(
            large.get_layer(layer).weights, small.get_layer(layer).weights, strict=True
        ):
            assert np.array_equal(ours, theirs)
    mixing = [w for w in small.get_layer("mixer_block_0").weights if "token_mixing" in w.path]
    assert [w.shape[0] for w in mixing if "output/bias" in w.path] == [16]
    grey = np.full((1, 8, 8, 1), 90, np.uint8)
    features = [
        keras.Model(model.input, model.get_layer("mixer_block_0").output)(grey)
        for model in (_constant_bias(small), _constant_bias(large))
    ]
    few, many = (keras.ops.convert_to_numpy(f)[0] for f in features)
    assert np.allclose(many, np.broadcast_to(few[0], many.shape), atol=1e-4)


def _constant_bias(model):
    """Make the block treat all places alike, as an untrained one's biases do."""
    for weight in model.get_layer("mixer_block_0").weights:
        if weight.path.endswith("token_mixing/output/kernel"):
            mean = keras.ops.convert_to_numpy(weight).mean(axis=1, keepdims=True)
            weight.assign(np.broadcast_to(mean, weight.shape))
        if weight.path.endswith("token_mixing/output/bias"):
            weight.assign(np.zeros(weight.shape))
    return model


@pytest.mark.whole
def test_frozen_layers_stay_and_others_move(source, tmp_path):
    settings = start(source, "finetune.freeze=[stem,blocks.0-1]", "optimizer.learning_rate=0.1")
    tuned = kmixer.train(settings, root=tmp_path)
    old, new = values(source.load_model()), values(tuned.load_model())
    moved = {
        path.split("/")[0] for path, value in new.items() if not np.array_equal(value, old[path])
    }
    assert moved == {"mixer_block_2", "pre_head_layer_norm", "head"}


@pytest.mark.whole
def test_a_decayed_layer_moves_less(source, tmp_path):
    """Two steps of SGD, the first of which moves the head alone, which starts at zero."""
    moved = []
    for decay in (1.0, 0.1):
        settings = start(
            source, f"finetune.layer_decay={decay}", "optimizer.name=sgd", "data.batch_size=50",
            "optimizer.momentum=0", "schedule.name=constant",
        )  # fmt: skip
        tuned = kmixer.train(settings, root=tmp_path)
        old, new = values(source.load_model()), values(tuned.load_model())
        moved.append({path: np.abs(new[path] - old[path]).sum() for path in old})
    multipliers = {
        "pre_head_layer_norm": 1,
        "mixer_block_2": 0.1,
        "mixer_block_1": 0.01,
        "stem": 0.001,
    }
    for layer, multiplier in multipliers.items():
        whole, less = (sum(m[path] for path in m if path.startswith(layer)) for m in moved)
        assert whole > 0 and less == pytest.approx(multiplier * whole, rel=0.1)


def test_a_stem_norm_goes_to_a_larger_grid(image_folder, tmp_path):
    run = untrained(tmp_path, image_folder, model=MIXER | {"stem_norm": "batch"})
    model = run.load_model()
    few = np.arange(16, dtype=np.float32)
    model.get_layer("stem_norm").moving_mean.assign(few)
    run.save_model(model)
    settings = start(run, image_size=16)
    large = initial_model(settings, load_splits(settings.data))
    many = keras.ops.convert_to_numpy(large.get_layer("stem_norm").moving_mean)
    assert many.shape == (64,)
    assert np.allclose(many[[0, 7, 56, 63]], few[[0, 3, 12, 15]])  # the corners stay


def test_a_cropped_run_sees_other_images_as_it_saw_its_own(image_folder, tmp_path):
    run = untrained(tmp_path, image_folder, "data.crop_size=6")
    for side, expected in ((None, (8, 6)), (12, (12, 12))):
        data = run.start_settings(side)["data"]
        assert (data["resize_size"], data["crop_size"]) == expected


def test_multipliers_of_the_learning_rate_by_hand():
    multipliers = finetuning.learning_rate_multipliers(MlpMixer((8, 8, 1), 2, **MIXER), 0.5)
    by_layer = {path.split("/")[0]: value for path, value in multipliers.items()}
    assert by_layer == {
        "head": 1, "pre_head_layer_norm": 1, "mixer_block_2": 0.5, "mixer_block_1": 0.25,
        "mixer_block_0": 0.125, "stem": 0.125,
    }  # fmt: skip


def test_a_decay_by_blocks_needs_blocks(image_folder, tmp_path):
    run = untrained(tmp_path / "mlp", image_folder, model={"name": "mlp"})
    with pytest.raises(SettingsError, match=r"layer_decay: received 0.5, expected 1: .* no blocks"):
        kmixer.train(start(run, "finetune.layer_decay=0.5"), root=tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


def test_a_multiplier_that_only_a_norm_has_does_not_decay_it():
    """Keras on torch cannot decay a list of no weights, which a frozen stem before a norm leaves."""
    chosen = {"name": "sgd", "weight_decay": 0.1, "learning_rate": 1.0, "momentum": 0.0}
    settings = loading.build_settings({"optimizer": chosen, "schedule": {"name": "constant"}})
    norm, kernel = (keras.Variable([1.0], name=name) for name in ("gamma", "kernel"))
    optimizer = build_optimizer(settings, 1, {norm.path: 0.5, kernel.path: 1.0})
    optimizer.build([norm, kernel])
    optimizer.apply([keras.ops.zeros(1)] * 2, [norm, kernel])
    assert keras.ops.convert_to_numpy(norm) == 1
    assert keras.ops.convert_to_numpy(kernel) == pytest.approx(0.9)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["sgd", "adam", "muon"])
def test_each_weight_learns_and_decays_with_its_multiplier(name, weight_decay):
    chosen = {"name": name, "weight_decay": weight_decay}
    settings = loading.build_settings({"optimizer": chosen, "schedule": {"name": "constant"}})
    steps = []
    for multiplier in (1.0, 0.25):
        variables = [
            keras.Variable(np.ones((4, 4)), dtype="float32", name=n) for n in ("first", "second")
        ]
        multipliers = {variables[0].path: 1.0, variables[1].path: multiplier}
        optimizer = build_optimizer(settings, 10, multipliers)
        gradient = np.random.default_rng(0).random((4, 4)).astype("float32")
        optimizer.build(variables)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)] * 2, variables)
        steps.append([1 - keras.ops.convert_to_numpy(v) for v in variables])
    assert np.allclose(steps[0][0], steps[1][0]) and np.allclose(steps[0][0], steps[0][1])
    assert np.allclose(steps[1][1], 0.25 * steps[0][1], rtol=1e-3)


@pytest.mark.whole
def test_a_fine_tuning_is_resumed_without_the_run_it_started_from(source, tmp_path, monkeypatch):
    copied = load_run(shutil.copytree(source.folder, tmp_path / "copied"))
    settings = start(copied, "finetune.freeze=[stem]", "optimizer.name=sgd")
    whole = kmixer.train(settings, root=tmp_path, name="whole")
    run = cut(settings, tmp_path, Signal(0, 2))
    shutil.rmtree(copied.folder)
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))  # of another machine,
    monkeypatch.setattr("kmixer.data.asked._asked_here", set())
    remember_data(run.settings.data)  # on which the images were named, but not the start
    resumed = kmixer.resume(run)
    ours, theirs = values(resumed.load_model()), values(whole.load_model())
    assert all(np.array_equal(ours[path], theirs[path]) for path in theirs)


def test_the_run_to_start_from_is_loaded_once(source, tmp_path, monkeypatch):
    loaded, load_model = [], Run.load_model
    monkeypatch.setattr(Run, "load_model", lambda run: loaded.append(run) or load_model(run))
    cut(start(source), tmp_path, Signal(0, 0))
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("finetune.freeze=[blocks.0-3]", r"received 'blocks.0-3', expected blocks.0-2, stem"),
        ("finetune.freeze=[stm]", "received 'stm', expected blocks.0-2, stem, mixer"),
        ("finetune.freeze=[blocks.1-0]", "received 'blocks.1-0', expected blocks.0-2, stem"),
        ("finetune.freeze=[head]", "received 'head', expected .* the head starts afresh"),
        ("model.blocks=4", "has no weights mixer_block_3/"),
        ("model.hidden_dim=4", "stem/kernel has the shape"),
        ("model={name: mlp}", "has no weights hidden_0/"),
        ("model={name: shift_mlp, stages: [{patch_size: 2, dim: 6, mlp_dim: 9}]}", "has no weights "),
        ("finetune.run=./nowhere", "nowhere: not a run folder"),
        ("finetune.run=nowhere", "received 'nowhere', expected a run folder"),
    ],
)  # fmt: skip
def test_what_does_not_fit_writes_nothing(source, tmp_path, assignment, message):
    with pytest.raises((SettingsError, RunError), match=message):
        kmixer.train(start(source, assignment), root=tmp_path)
    assert not list(tmp_path.iterdir())
