"""Settings → a trained run."""

import math
import time
from functools import partial

import keras

from .. import backend
from ..data import load_splits
from ..errors import RunError, SettingsError
from ..evaluation import figures
from ..evaluation.evaluate import measure_splits
from ..files import atomic
from ..files.lock import folder_lock
from ..models import count_flops
from ..models.factory import build_model
from ..runs import provenance
from ..runs.card import run_card
from ..runs.resumable import check_unfinished, find_resumable_run
from ..runs.run import create_run
from ..runs.signals import stop_requests
from . import checkpoint, distribution, finetuning
from .loop import Fitting
from .resolve import check_fit, resolve


def train(settings, *, dataset=None, preset=None, command="kmixer.train(...)", root="saved_models",
          name=None, out=None, go_on=False, watchers=(), announce=None,
          read_test=True, started=None):  # fmt: skip
    """Train a classifier and write its run folder.

    Args:
        settings: `Settings`; what they leave open (mean, patch size, backend, …) is resolved from
            the data and written to config.yaml.
        dataset: what `load_splits` returns for `settings.data`; by default it is loaded.
        preset: the preset's name, for the folder's name.
        command: what config.yaml says the run came from.
        root: where run folders go.
        name: of the run folder, instead of `<dataset>-<preset>-<n>`.
        out: the run folder itself, instead of root and name.
        go_on: with a run of the same settings that was begun there, if there is one; a finished one
            is returned as it is.
        watchers: more Keras callbacks, such as a progress display.
        announce: called with (run, dataset, model, place) before training begins, `place` being the
            `checkpoint.Place` that it goes on from.
        read_test: whether the test set is read at the end; a search judges by validation alone.
        started: `time.perf_counter()` when the command began; default: now.

    Returns:
        The finished `Run`; None in a process that helps another one, which writes the folder.

    Raises:
        KmixerError: the data, the settings or the disk do not allow it, or the loss diverged.
        InterruptedRunError: a signal ended the training.
    """
    started = started or time.perf_counter()
    backend.select(settings.training.backend)
    devices = distribution.find_devices(settings)
    dataset = dataset or load_splits(settings.data)
    settings = resolve(settings, dataset, devices)
    info = {
        "command": command,
        "preset": preset,
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "device": provenance.device(),
        "dataset": dataset.name,
        "input_shape": list(dataset.image_shape),
        "data_sha256": dataset.fingerprint(),
    }
    check_model(settings, dataset)
    places = {"root": root, "stem": _stem(dataset.name, preset), "name": name, "out": out}
    run = find_resumable_run(settings, **places) if go_on else None
    if run:
        options = {"watchers": watchers, "announce": announce, "read_test": read_test}
        return run if run.finished else resume(run, dataset=dataset, started=started, **options)
    with distribution.kept_or_thrown_away(devices, places) as places:
        run = create_run(settings, info, dataset.class_names, **places)
        return _fit(run, dataset, watchers, announce, read_test, started, devices)


def resume(run, *, dataset=None, watchers=(), announce=None, read_test=True, started=None):
    """Go on with an interrupted run from its newest checkpoint; the rest as `train`.

    Raises:
        RunError: the run is finished or was not trained, another process trains it, its checkpoints
            are damaged, or its data are no longer what they were.
    """
    started = started or time.perf_counter()
    check_unfinished(run)
    backend.select(run.settings.training.backend)
    devices = distribution.find_devices(run.settings)
    dataset = dataset or load_splits(run.settings.data)
    if dataset.fingerprint() != run.info["data_sha256"]:
        raise RunError(
            f"{run.folder}: trained on other images than {run.settings.data.name} holds now"
        )
    check_fit(run.settings, devices)
    with distribution.writing(run, devices) as written:
        return _fit(written, dataset, watchers, announce, read_test, started, devices)


def check_model(settings, dataset):
    """Fail before anything is written if the model cannot be built on these images."""
    steps_per_epoch(settings, dataset)
    model = build_model(settings, dataset.image_shape, len(dataset.class_names))
    _start_from(settings, model)
    return model


def steps_per_epoch(settings, dataset):
    """Return the batches in an epoch: whole ones, a multiple of `steps_per_execution`."""
    batch, at_once = settings.data.batch_size, settings.training.steps_per_execution
    steps = len(dataset.train) // batch // at_once * at_once
    if not steps:
        raise SettingsError(
            f"data.batch_size: received {batch} with training.steps_per_execution {at_once},"
            f" expected at most {len(dataset.train)} images together"
        )
    accumulated = settings.optimizer.gradient_accumulation_steps
    if steps < accumulated:
        raise SettingsError(
            f"optimizer.gradient_accumulation_steps: received {accumulated}, expected at most the"
            f" {steps} batches of an epoch"
        )
    return steps


def _stem(dataset_name, preset):
    if preset is None:
        return dataset_name
    return preset if preset.startswith(dataset_name) else f"{dataset_name}-{preset}"


def _fit(run, dataset, watchers, announce, read_test, started, devices):
    with folder_lock(run.folder), stop_requests() as request:
        atomic.remove_leftovers(run.folder)
        with distribution.distributed(devices):
            watchers, announce = (watchers, announce) if devices.writes else ((), None)
            fitting = _train_model(run, dataset, watchers, announce, request, started, devices)
        request.raise_if_requested(f"all epochs are saved; go on with: kmixer resume {run.folder}")
        model = distribution.local_model(run, fitting.model, devices)
        _finish(run, model, dataset, fitting, read_test, watchers)
    return run if devices.writes else None


def _train_model(run, dataset, watchers, announce, request, started, devices):
    """Train the epochs that are left and return the `Fitting`."""
    settings = run.settings
    keras.utils.set_random_seed(settings.training.seed)
    model = run.build_model()
    shares = _start_from(settings, model, run)
    steps = steps_per_epoch(settings, dataset)
    fitting = Fitting(run, dataset, model, steps, shares, request, started, devices)
    if announce:
        announce(run, dataset, model, fitting.place)
    fitting.run_to_the_end(watchers)
    return fitting


def _start_from(settings, model, run=None):
    """Put the weights to start from into the model; return the shares of the learning rate."""
    if not settings.finetune:
        return None
    if run is None or not checkpoint.exists(run.folder):
        finetuning.load_weights(settings, model)
    finetuning.freeze(settings, model)
    return finetuning.learning_rate_shares(model, settings.finetune.layer_decay)


def _finish(run, model, dataset, fitting, read_test, watchers):
    """Read the test set, for the first and only time, if at all, and write the figures."""
    splits = ("validation", "test") if read_test else ("validation",)
    measure = partial(measure_splits, dataset=dataset, splits=splits, callbacks=watchers)
    rows, first_step = fitting.rows, fitting.first_step
    seen = run.settings.data.train_on_validation  # which then cannot choose the epoch
    best_row = rows[-1] if seen else max(rows, key=lambda row: row["val_accuracy"])
    best = measure(run.load_model())
    last = best if best_row is rows[-1] else measure(model)
    rates = sorted(row["examples_per_second"] for row in rows[1:] or rows)
    metrics = {
        "dataset": dataset.name,
        "backend": run.settings.training.backend,
        "device": run.info["device"],
        "epochs": len(rows),
        "best_epoch": best_row["epoch"],
        "best": {"train": _train(best_row)} | best.metrics,
        "last": {"train": _train(rows[-1])} | last.metrics,
        "seconds": round(sum(row["seconds"] for row in rows), 2),
        "seconds_to_first_step": first_step and round(first_step, 2),
        "examples_per_second": rates[len(rates) // 2],
        "parameters": model.count_params(),
        "trainable_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "flops": count_flops(model),
        "peak_memory_bytes": provenance.peak_memory(),
    }
    matrix = figures.confusion_matrix(best.confusion_matrix, dataset.class_names)
    figures.save(matrix, run.folder / "confusion_matrix.png")
    atomic.write_text(run.folder / "README.md", run_card(run, metrics))
    run.write_metrics(metrics)  # last: with it, the run is finished


def _train(row):
    return {"loss": row["loss"], "accuracy": row["accuracy"]}
