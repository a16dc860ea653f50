"""What a search space is told about the images before Keras is imported."""

import time

import keras
import pytest

from kmixer.config import loading
from kmixer.errors import SettingsError
from kmixer.models.factory import build_model
from kmixer.tuning.datasets import SearchDatasets
from kmixer.tuning.space.command_line import parse_search
from kmixer.tuning.space.geometry import check_geometry, check_steps
from kmixer.tuning.space.space import Space
from kmixer.tuning.space.validity import check_some_point_fits

if keras.backend.backend() != "tensorflow":
    pytest.skip("what is checked before Keras is imported has no backend", allow_module_level=True)

SHAPE, IMAGES = (28, 28, 1), 500
BASE = {"data": {"batch_size": 16}, "model": {"patch_size": 4, "patch_stride": 4}}


def check_fit(settings):
    check_geometry(settings, SHAPE)
    check_steps(settings, IMAGES)


def refusal(section):
    """Return why a space is refused, or None."""
    settings, space = loading.build_settings(BASE), Space(section)
    try:
        space.check(settings)
        check_some_point_fits(space, settings, check_fit)
    except SettingsError as error:
        assert "\n" not in str(error)
        return str(error)
    return None


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["model.patch_size=3,5"], "patch_size 5 does not fit an image side of 28"),
        (["model.patch_size=29..400"], "patch_size 400 does not fit an image side of 28"),
        (["model.patch_stride=5,7"], "model.patch_stride 7"),
        (["model.patch_size=15..27", "model.patch_stride=14..20"], "does not fit an image side"),
        (["model.patch_size=3,5", "model.patch_stride=3,4"], "does not fit an image side of 28"),
        (["model.patch_size=3,5", "optimizer.learning_rate=1e-4..1e-1:log"], "does not fit"),
        (["training.steps_per_execution=1000,2000"], "training.steps_per_execution: received 2000"),
        (["optimizer.gradient_accumulation_steps=40,80"], "accumulation_steps: received 80"),
        (["data.crop_size=32,64"], "data.crop_size: received 64, expected at most the 28 pixels"),
        (["model.block_dims=[64,32,32,32],[32,32,32,32]"], "expected all equal to hidden_dim"),
        (["model={choice: [{name: mixer, patch_size: 3}, {name: mlp, patch_size: 5}]}"], "size 5"),
        (
            ["model.name=mixer,mlp", "model.patch_size={choice: [9], when: {model.name: [mixer]}}",
             "model.hidden_dims={choice: [[8]], when: {model.name: [mlp]}}", "training.steps_per_execution=900,999"],
            "training.steps_per_execution: received 999",
        ),
    ],
)  # fmt: skip
def test_a_space_without_a_point_that_fits_is_refused(texts, reason):
    began = time.process_time()
    assert reason in (refusal(parse_search(texts)) or "")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "texts",
    [
        ["model.patch_size=3,5,8"],
        ["model.patch_size=1..40"],
        ["model.patch_size=3,6", "model.patch_stride=5,11"],  # 6 with 11
        ["data.batch_size=32,1000000"],
        ["data.crop_size=24,64"],
        ["model.patch_size=3", "data.resize_size=27", "model.patch_stride=3"],
        ["model.name=mixer,mlp", "model.patch_size={choice: [9], when: {model.name: [mixer]}}"],
        ["model.patch_size=5,4", "data.split_seed=0..2147483646"],  # not listed, and not tried one by one
    ],
)  # fmt: skip
def test_a_space_with_a_point_that_fits_is_not_refused(texts):
    assert refusal(parse_search(texts)) is None


@pytest.mark.parametrize(("dense_size", "refused"), [(8, False), (5, True)])
def test_conditions_are_part_of_the_answer(dense_size, refused):
    sizes = [{"choice": [3], "when": {"model.stem": ["conv"]}},
             {"choice": [dense_size], "when": {"model.stem": ["dense"]}}]  # fmt: skip
    section = {"model.patch_size": sizes, "model.stem": ["conv", "dense"]}
    assert bool(refusal(section)) == refused


def test_another_optimizer_does_not_accumulate():
    """A new name drops the optimizer's other settings, so that its points fit."""
    known = SearchDatasets(loading.build_settings(BASE).data)
    accumulating = {"optimizer": {"name": "adamw", "gradient_accumulation_steps": 5000}}
    base = loading.build_settings(BASE, accumulating)
    for names, fits in ((["adamw", "sgd"], True), (["adamw"], False)):
        space = Space({"optimizer.name": names, "model.blocks": [1, 2]})
        if fits:
            check_some_point_fits(space, base, known.check_fit)
        else:
            with pytest.raises(SettingsError, match="gradient_accumulation_steps"):
                check_some_point_fits(space, base, known.check_fit)


def test_images_of_another_size_than_the_data_set_has_are_refused(run_command):
    words = ["tune", "fmnist", "--search", "data.image_size=32,64", "--search", "model.blocks=1..9"]
    done = run_command(*words, env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 2 and "the images of fmnist are 28×28" in done.stderr


def test_a_data_set_is_loaded_once_for_all_points(monkeypatch):
    from kmixer.tuning import datasets

    loaded = []
    load = datasets.load_splits
    monkeypatch.setattr(datasets, "load_splits", lambda data: loaded.append(data) or load(data))
    base = loading.build_settings(BASE)
    known = SearchDatasets(base.data)
    texts = ["model.patch_size=3,5", "data.train_per_class=10,20", "data.batch_size=4,8,16"]
    with pytest.raises(SettingsError, match="does not fit"):
        check_some_point_fits(Space(parse_search(texts)), base, known.check_fit)
    assert loaded[0].train_per_class is None  # the base
    assert sorted(data.train_per_class for data in loaded[1:]) == [10, 20]


STAGE = {"filters": 2}
MODELS = [
    {"patch_size": 4}, {"patch_size": 5}, {"patch_size": 40}, {"patch_size": 4, "patch_stride": 2},
    {"patch_size": 4, "patch_stride": 5}, {"patch_size": None}, {"patch_size": None, "patch_stride": 3},
    {"patch_size": 8, "patch_stride": 10}, {"name": "mlp"}, {"name": "mlp", "patch_size": 7},
    {"name": "mlp", "patch_size": 6}, {"name": "cnn"}, {"name": "cnn", "patch_size": 3},
    {"name": "cnn", "patch_size": 14, "stages": [STAGE | {"pool": 3}]},
    {"name": "cnn", "stages": [STAGE | {"kernel_size": 28, "padding": "valid"}, STAGE | {"pool": 2}]},
    {"name": "cnn", "stages": [STAGE | {"kernel_size": 29, "padding": "valid"}]},
    {"name": "cnn", "stages": [STAGE | {"kernel_size": 29, "padding": [1, 1]}]},
    {"name": "cnn", "stages": [STAGE | {"kernel_size": 30, "padding": [1, 0]}]},
    {"name": "cnn", "stages": [STAGE | {"pool": 5}, STAGE | {"pool": 5}]},
    {"name": "cnn", "stages": [STAGE | {"pool": 5}, STAGE | {"pool": 6}]},
    {"name": "shift_mlp"}, {"name": "shift_mlp", "stages": [{"patch_size": 5, "dim": 4, "mlp_dim": 4}]},
    {"name": "shift_mlp", "stages": [{"patch_size": 4, "dim": 4, "mlp_dim": 4, "blocks": 1},
                                     {"patch_size": 2, "dim": 4, "mlp_dim": 4, "blocks": 1}]},
    {"name": "shift_mlp", "stages": [{"patch_size": 4, "patch_stride": 3, "dim": 4, "mlp_dim": 4},
                                     {"patch_size": 3, "dim": 4, "mlp_dim": 4, "blocks": 1}]},
]  # fmt: skip
PIXELS = [{}, {"crop_size": 24}, {"resize_size": 35}, {"resize_size": 30, "crop_size": 32},
          {"crop_size": 28}, {"crop_size": 29}, {"resize_size": 20, "crop_size": 20}]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "data", "shape"),
    [(model, {}, SHAPE) for model in MODELS]
    + [({"patch_size": 4}, data, SHAPE) for data in PIXELS]
    + [({"patch_size": size}, {}, (28, 21, 1)) for size in (4, 7)]
    + [({"patch_size": 7}, data, (28, 21, 1)) for data in PIXELS]
    + [
        ({"patch_size": None, "patch_stride": stride}, {}, shape)
        for shape in ((16, 64, 1), (97, 97, 1), (97, 31, 1), (101, 64, 1))
        for stride in (None, 4)
    ],
)
def test_the_geometry_is_that_of_the_models(model, data, shape):
    """`check_geometry` refuses a model exactly if its builder does."""
    tiny = {"hidden_dim": 4, "blocks": 1} if model.get("name", "mixer") == "mixer" else {}
    settings = loading.build_settings({"model": tiny | model, "data": data})
    with keras.StatelessScope(initialize_variables=False):
        assert _refuses(check_geometry, settings, shape) == _refuses(_build, settings, shape)


def _build(settings, shape):
    from kmixer.models.factory import with_patch_size

    build_model(with_patch_size(settings, *shape[:2]), shape, 3)


def _refuses(action, *arguments):
    try:
        action(*arguments)
    except SettingsError:
        return True
    return False
