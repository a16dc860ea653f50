"""A training from settings to run folder, under every backend."""

import json
import shutil
import signal
import threading
from dataclasses import replace

import keras
import numpy as np
import pytest

import kmixer
from kmixer.config import Settings, loading, yaml_files
from kmixer.data.batches import threads
from kmixer.errors import DivergedError, InterruptedRunError, RunError, SettingsError
from kmixer.models.factory import build_model
from kmixer.runs import provenance
from kmixer.runs.run import Run, load_run
from kmixer.runs.signals import StopRequest
from kmixer.training import checkpoint, initial_model
from kmixer.training.callbacks import build_callbacks
from kmixer.training.optimizer import compile_model
from tiny_settings import tiny_settings

pytestmark = pytest.mark.backends


def build(tiny, *assignments):
    return loading.build_settings(tiny, *map(loading.parse_assignment, assignments))


def weights(run):
    return [keras.ops.convert_to_numpy(w) for w in run.load_model().weights]


def history(run):
    timed = ("seconds", "examples_per_second")
    return [{k: v for k, v in row.items() if k not in timed} for row in run.history]


@pytest.fixture(scope="module")
def trained(image_folder, tmp_path_factory):
    """A finished run of three epochs, its images on the host; copy it before changing it."""
    settings = build(tiny_settings(image_folder), "training.epochs=3")
    return kmixer.train(settings, root=tmp_path_factory.mktemp("trained"), preset="tiny")


@pytest.fixture
def unfinished(trained, tmp_path):
    """A copy of it that lacks its metrics."""
    folder = shutil.copytree(trained.folder, tmp_path / "unfinished")
    (folder / "metrics.json").unlink()
    return load_run(folder)


def test_the_run_folder_holds_what_it_says(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert trained.folder.name == "halves-tiny-1"
    assert names == {
        "config.yaml", "labels.txt", "history.csv", "model.keras", "checkpoint.npz", "metrics.json",
        "checkpoint.previous.npz", "seen_images.npz", "example.png", "curves.png", "confusion_matrix.png",
        "README.md",
    }  # fmt: skip
    metrics = trained.metrics
    assert metrics["best"]["test"]["accuracy"] > 0.9
    assert metrics["epochs"] == 3 and 1 <= metrics["best_epoch"] <= 3
    assert metrics["seconds"] > 0 and metrics["examples_per_second"] > 0
    assert metrics["parameters"] == trained.load_model().count_params()
    assert metrics["peak_memory_bytes"] > 1e8
    for name in ("curves.png", "confusion_matrix.png"):
        assert (trained.folder / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.whole
@pytest.mark.parametrize("best_is_last", [True, False])
def test_measuring_is_watched_and_not_done_twice(tiny, tmp_path, best_is_last):
    class Watcher(keras.callbacks.Callback):
        splits, batches = 0, []

        def on_predict_begin(self, logs=None):
            self.splits += 1

        def on_predict_batch_end(self, batch, logs=None):
            self.batches.append((batch + 1, self.params["steps"]))

    # Without a step that learns, the first epoch stays the best.
    rate = [] if best_is_last else ["optimizer.learning_rate=1e-12", "training.epochs=2"]
    watcher = Watcher()
    run = kmixer.train(build(tiny, "training.epochs=1", *rate), root=tmp_path, callbacks=[watcher])
    assert run.metrics["best_epoch"] == 1
    assert (run.metrics["best"] == run.metrics["last"]) or not best_is_last
    assert watcher.splits == (2 if best_is_last else 4)  # validation and test, of each of the two
    assert set(watcher.batches) == {(1, 1)}


def test_config_is_resolved_and_says_where_it_came_from(trained):
    run = load_run(trained.folder)
    data, model, train = run.settings.data, run.settings.model, run.settings.training
    assert data.image_size == 8 and len(data.mean) == len(data.std) == 1
    assert 0.2 < data.mean[0] < 0.6
    assert model.patch_size == 4
    assert train.backend == keras.backend.backend() and train.jit is not None
    assert run.info["versions"]["keras"] == keras.__version__
    assert run.info["input_shape"] == [8, 8, 1]
    assert run.class_names == ("above", "below")


def test_training_again_from_config_gives_the_same_run(trained, tmp_path):
    settings = loading.build_settings(yaml_files.read_file(trained.folder / "config.yaml"))
    again = kmixer.train(settings, root=tmp_path)
    assert again.settings == trained.settings
    assert history(again) == history(trained)
    for ours, theirs in zip(weights(again), weights(trained), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.whole
def test_another_seed_gives_another_run(trained, tiny, tmp_path):
    other = kmixer.train(build(tiny, "training.epochs=1", "training.seed=1"), root=tmp_path)
    assert history(other)[0] != history(trained)[0]


def test_a_finished_run_is_not_resumed(trained):
    with pytest.raises(RunError, match="nothing to resume"):
        kmixer.resume(trained)


def test_divergence_stops_with_code_3_and_keeps_the_last_good_weights(tiny, tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                head = self.model.get_layer("head").bias
                head.assign(np.full(head.shape, np.nan, np.float32))

    with pytest.raises(
        DivergedError, match=r"epoch 2, step 1; kept: the weights of epoch 1"
    ) as caught:
        kmixer.train(build(tiny), root=tmp_path, name="run", callbacks=[Spoil()])
    assert caught.value.exit_code == 3
    run = load_run(tmp_path / "run")
    assert len(run.history) == 1 and (run.folder / "curves.png").is_file()
    assert all(np.isfinite(w).all() for w in weights(run))
    assert not any(thread.name.startswith(threads.NAME) for thread in threading.enumerate())


@pytest.mark.whole
@pytest.mark.parametrize(
    "assignments",
    [
        ["optimizer.name=adamw", "optimizer.clip_norm=1.0", "training.label_smoothing=0.1"],
        ["optimizer.name=sgd", "optimizer.gradient_accumulation_steps=3", "optimizer.ema=0.9"],
        pytest.param(
            ["optimizer.name=rmsprop", "training.precision=mixed_bfloat16"], marks=pytest.mark.slow
        ),
        ["optimizer.name=muon", "optimizer.weight_decay=0.1", "optimizer.ema=0.9"],
        ["optimizer.l2=0.01", "training.precision=mixed_float16", "schedule.name=constant",
         "plateau.patience=1", "plateau.factor=0.5"],
        ["optimizer.name=lion", "augment.random_resized_crop.scale=[0.8,1]",
         "augment.horizontal_flip=0.5", "augment.random_erasing.probability=0.2",
         "augment.mixup.alpha=1", "augment.cutmix.alpha=1", "augment.rand_augment.magnitude=9",
         "augment.on=accelerator"],
        ["training.jit=true", "model.stem=dense", "model.stem_norm=batch",
         "model.skip_connections=false", "model.block_dims=[8,4]", "model.norm_position=post",
         "model.head_dropout=0.1"],
    ],
    ids=lambda assignments: assignments[0],
)  # fmt: skip
def test_every_option_trains(tiny, tmp_path, assignments):
    run = kmixer.train(build(tiny, "training.epochs=1", *assignments), root=tmp_path)
    assert np.isfinite(run.metrics["last"]["train"]["loss"])


@pytest.mark.whole
def test_several_steps_at_once_train_or_are_refused(tiny, tmp_path):
    settings = build(tiny, "training.steps_per_execution=3")
    if keras.backend.backend() == "torch":
        with pytest.raises(SettingsError, match="expected 1: Keras has no more on torch"):
            kmixer.train(settings, root=tmp_path)
    else:
        assert kmixer.train(settings, root=tmp_path).metrics["epochs"] == 2


@pytest.mark.whole
def test_the_accelerator_and_the_host_train_alike(tiny, tmp_path):
    """Augmented there or here, the history is the same; no checkpoint holds the images."""
    crop = "augment.random_resized_crop.scale=[0.5,1]"
    host, device = (
        kmixer.train(build(tiny, crop, f"augment.on={location}"), root=tmp_path)
        for location in ("host", "accelerator")
    )
    for ours, theirs in zip(history(device), history(host), strict=True):
        assert ours == pytest.approx(theirs, abs=0.02)
    sizes = [(run.folder / "checkpoint.npz").stat().st_size for run in (host, device)]
    assert abs(sizes[0] - sizes[1]) < 1000  # the images are 7,680 bytes


def test_images_lie_on_the_host_where_there_is_no_accelerator(trained):
    location = "accelerator" if provenance.accelerators() else "host"
    assert load_run(trained.folder).settings.augment.on == location


@pytest.mark.whole
def test_early_stopping_stops_and_a_resumed_run_does_not_train_on(tiny, tmp_path):
    stop = ("training.early_stopping.patience=1", "training.early_stopping.min_delta=0.9")
    settings = build(tiny, "training.epochs=9", "training.track=tensorboard", *stop)
    run = kmixer.train(settings, root=tmp_path)
    assert run.metrics["epochs"] == 2
    assert list((run.folder / "tensorboard").rglob("events.*"))
    before = history(run)
    (run.folder / "metrics.json").unlink()
    assert history(kmixer.resume(run)) == before
    assert run.metrics["epochs"] == 2


def test_resume_refuses_other_data(unfinished):
    other = replace(unfinished, info=unfinished.info | {"data_sha256": "0"})
    with pytest.raises(RunError, match="other images"):
        kmixer.resume(other)


@pytest.mark.whole
def test_a_signal_between_the_steps_ends_the_training(tiny, tmp_path):
    class StopAtTheEnd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError, match="all epochs are saved") as caught:
        kmixer.train(build(tiny), root=tmp_path, name="run", callbacks=[StopAtTheEnd()])
    assert caught.value.exit_code == 143
    assert kmixer.resume(load_run(tmp_path / "run")).metrics["epochs"] == 2


def test_a_signal_while_weights_are_read_is_no_damage(trained_run, monkeypatch):
    def interrupted(*_, **__):
        raise InterruptedRunError("a signal", signal.SIGTERM)

    monkeypatch.setattr("keras.Model.load_weights", interrupted)
    with pytest.raises(InterruptedRunError):
        trained_run.load_model()


def test_mixed_float16_scales_the_loss_on_host_and_accelerator(tiny):
    from kmixer.augment import RandomHorizontalFlip
    from kmixer.models.factory import with_resident_images

    resolved = build(tiny, "training.precision=mixed_float16", "data.mean=[0.5]", "data.std=[0.5]")
    model = build_model(resolved, (8, 8, 1), 2)
    images = np.zeros((4, 8, 8, 1), np.uint8)
    resident = with_resident_images(images, RandomHorizontalFlip(0.5), model, "mixed_float16")
    for trained in (model, resident):
        compile_model(trained, resolved, 1)
        assert isinstance(trained.optimizer, keras.optimizers.LossScaleOptimizer)


def test_callbacks_stand_in_the_order_they_need(tiny, tmp_path):
    settings = build(tiny, "optimizer.ema=0.9", "schedule.name=constant", "plateau.patience=1")
    run, position = Run(tmp_path, settings, {}), checkpoint.Position()
    callbacks, write = build_callbacks(
        run, None, position, checkpoint.SavedArrays(), 6, StopRequest(), 0.0
    )
    names = [type(c).__name__ for c in callbacks]
    assert names.index("SwapEMAWeights") < names.index("ReduceLROnPlateau") < callbacks.index(write)
    assert names.index("StopOnDivergence") < callbacks.index(write) < names.index("StopOnSignal")


def test_soft_labels_are_named(tiny):
    assert build(tiny).soft_labels is None
    both = build(tiny, "augment.mixup.alpha=1", "training.label_smoothing=0.1")
    assert both.soft_labels == "mixed and smoothed labels"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.steps_per_execution=1000", "training.steps_per_execution: received 1000"),
        ("data.mean=[1,2,3]", "data.mean: received 3 values, expected 1"),
        ("optimizer.gradient_accumulation_steps=99",
         "optimizer.gradient_accumulation_steps: received 99, expected at most the"),
        ("model.patch_size=3", "model.patch_size 3 does not fit an image side of 8"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_the_data_write_nothing(tiny, tmp_path, assignment, message):
    with pytest.raises(SettingsError, match=message.replace(".", r"\.")):
        kmixer.train(build(tiny, assignment), root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_setting_has_a_json_form():
    values = Settings().model_dump(mode="json")
    assert loading.build_settings(json.loads(json.dumps(values))) == Settings()


def test_the_model_is_built_once(tiny, tmp_path, monkeypatch):
    """What is built before, to check the settings, has weights without values."""
    models = []

    def built(*arguments):
        models.append(build_model(*arguments))
        return models[-1]

    monkeypatch.setattr(initial_model, "build_model", built)

    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        kmixer.train(build(tiny), root=tmp_path, callbacks=[Stop()])
    assert [model.weights[0]._value is None for model in models] == [True, False]
