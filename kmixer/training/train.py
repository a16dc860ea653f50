"""Settings → a trained run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from .. import backend
from ..config import Settings
from ..config.fields import chosen
from ..config.schema import shorten
from ..data import load_splits
from ..data.digests import split_digests
from ..data.quality import Findings, find_problems
from ..errors import RunError, SettingsError
from ..files import atomic
from ..files.lock import folder_lock
from ..models.factory import build_model, without_values
from ..runs import provenance
from ..runs.naming import run_stem
from ..runs.resumable import check_unfinished, find_resumable_run
from ..runs.run import PROBLEMS_FILE, create_run
from ..runs.seen_images import seen_by_start, write_seen_images
from ..runs.signals import stop_requests
from . import checkpoint, distribution, finetuning
from .callbacks.printing import PrintTraining
from .choices import choose_open, patches_line
from .distribution import Devices
from .loop import TrainingLoop
from .resolve import check_devices, resolve
from .results import write_results

if TYPE_CHECKING:
    from ..data import Dataset
    from ..runs.run import Run
    from ..runs.signals import StopRequest

    Callbacks = Sequence[keras.callbacks.Callback]
    OnStart = Callable[[Run, Dataset, keras.Model, checkpoint.Position], None]
    Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Options:
    """What a training is given beside its run; see `train`."""

    dataset: Dataset
    devices: Devices
    callbacks: Callbacks
    on_start: OnStart | None
    read_test: bool
    verbose: int
    started: float


def train(
    settings: Settings, *, dataset: Dataset | None = None, preset: str | None = None,
    command: str = "kmixer.train(...)", root: str | Path = "saved_models", name: str | None = None,
    out: str | Path | None = None, go_on: bool = False, callbacks: Callbacks = (),
    on_start: OnStart | None = None, read_test: bool = True, verbose: int = 1,
    started: float | None = None, watchers: Callbacks = (),
) -> Run | None:  # fmt: skip
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
        go_on: resume a run of the same settings that was begun there, if there is one; a finished
            one is returned as it is.
        callbacks: more Keras callbacks, such as `keras.callbacks.CSVLogger("log.csv")`.
        on_start: called with (run, dataset, model, position) before training begins, `position`
            being the `checkpoint.Position` that it continues from.
        read_test: whether the test set is read at the end; a search judges by validation alone.
        verbose: 1 prints a line an epoch, and what is trained; 0 nothing.
        started: `time.perf_counter()` when the command began; default: now.
        watchers: the old name of `callbacks`.

    Returns:
        The finished `Run`; None in a process that helps another one, which writes the folder.

    Raises:
        KmixerError: the data, the settings or the disk do not allow it, or the loss diverged.
        InterruptedRunError: a signal ended the training.

    Example:
        >>> import kmixer
        >>> settings = kmixer.build_settings(
        ...     {"data": {"train_per_class": 20, "validation_size": 100, "batch_size": 50},
        ...      "model": {"hidden_dim": 8}, "training": {"epochs": 1, "jit": False}})
        >>> run = kmixer.train(settings, root="saved_models", verbose=0)
        >>> run.folder.name, run.metrics["epochs"]
        ('fmnist-1', 1)
    """
    started = started or time.perf_counter()
    callbacks = [*callbacks, *_renamed(watchers)]
    _check_type(settings)
    backend.select(settings.training.backend)
    devices = distribution.find_devices(settings)
    dataset = dataset or load_splits(settings.data)
    digests = split_digests(dataset)
    # A search's trials share their images, and do not tell again what is wrong with them.
    findings = find_problems(dataset, digests, settings.data) if read_test else Findings()
    seen = seen_by_start(settings.finetune.run, digests) if settings.finetune else []
    dataset = replace(dataset, notes=(*dataset.notes, *findings.notes, *seen))
    settings, choices = choose_open(settings, dataset)
    patch_size_is_open = settings.model.patch_size_is_open
    settings = resolve(settings, dataset, devices)
    if patch_size_is_open:
        choices.append(patches_line(settings, dataset))
    _, weights = check_model(settings, dataset)
    options = _Options(dataset, devices, callbacks, on_start, read_test, verbose, started)
    fingerprint = dataset.fingerprint()
    location: dict[str, Any] = {
        "root": root,
        "stem": run_stem(dataset.name, preset),
        "name": name,
        "out": out,
    }
    run = find_resumable_run(settings, **location) if go_on else None
    if run:
        return run if run.finished else _resume(run, options, fingerprint, weights)
    info = _info(dataset, fingerprint, command, preset) | finetuning.start_info(settings)
    info |= {"choices": choices} if choices else {}

    def write_images(folder: Path) -> None:
        write_seen_images(folder, digests)
        if findings.problems:
            atomic.write_text(folder / PROBLEMS_FILE, findings.as_csv())

    with distribution.run_location(devices, location) as location:
        run = create_run(settings, info, dataset.class_names, **location, write_more=write_images)
        return _fit(run, options, weights)


def _check_type(settings: Settings) -> None:
    """Refuse what is often given instead, such as the name of a folder."""
    if not isinstance(settings, Settings):
        raise SettingsError(
            f"settings: received {shorten(settings)}, expected Settings, as of"
            ' kmixer.build_settings({"data": {"name": "./photos"}})'
        )


def resume(
    run: Run, *, dataset: Dataset | None = None, callbacks: Callbacks = (),
    on_start: OnStart | None = None, read_test: bool = True, verbose: int = 1,
    started: float | None = None, watchers: Callbacks = (),
) -> Run | None:  # fmt: skip
    """Continue an interrupted run from its newest checkpoint; the rest as `train`.

    Raises:
        RunError: the run is finished or was not trained, another process trains it, its checkpoints
            are damaged, or its data have changed.

    Example:
        >>> import kmixer
        >>> run = kmixer.load_run("saved_models/interrupted")
        >>> run.finished
        False
        >>> kmixer.resume(run, verbose=0).finished
        True
    """
    started = started or time.perf_counter()
    callbacks = [*callbacks, *_renamed(watchers)]
    check_unfinished(run)
    backend.select(run.settings.training.backend)
    devices = distribution.find_devices(run.settings)
    dataset = dataset or load_splits(run.settings.data)
    options = _Options(dataset, devices, callbacks, on_start, read_test, verbose, started)
    return _resume(run, options, dataset.fingerprint())


def _renamed(watchers: Callbacks) -> Callbacks:
    """Accept `callbacks` under its old name, from a caller of `train` or `resume`."""
    if watchers:
        message = "the argument watchers is called callbacks now"
        warnings.warn(message, DeprecationWarning, stacklevel=3)
    return watchers


def check_model(settings: Settings, dataset: Dataset) -> tuple[keras.Model, Weights | None]:
    """Check that the model can be trained on these images, before anything is written.

    Args:
        settings: resolved `Settings`.
        dataset: their `Dataset`.

    Returns:
        (the model, whose weights have shapes but no values; the weights that a fine-tuning starts
        from, by their paths, or None).

    Raises:
        SettingsError: it cannot.
        RunError: the run to start from cannot be read.
    """
    steps_per_epoch(settings, dataset)
    classes = len(dataset.class_names)
    model = without_values(lambda: build_model(settings, dataset.image_shape, classes))
    if not settings.finetune:
        return model, None
    weights = finetuning.initial_weights(settings.finetune, model)
    finetuning.freeze(settings.finetune, model)
    finetuning.learning_rate_multipliers(model, settings.finetune.layer_decay)
    return model, weights


def initial_model(
    settings: Settings, dataset: Dataset, weights: Weights | None = None, resumes: bool = False
) -> keras.Model:
    """Build the model with the weights from which it is trained, and freeze its frozen layers.

    Args:
        settings: resolved `Settings`.
        dataset: their `Dataset`.
        weights: what `check_model` returned, which is emptied; by default they are read.
        resumes: whether a checkpoint will overwrite the weights anyway.
    """
    model = build_model(settings, dataset.image_shape, len(dataset.class_names))
    if settings.finetune:
        if not resumes:
            weights = weights or finetuning.initial_weights(settings.finetune, model)
            finetuning.assign_weights(model, weights)
        elif weights:
            weights.clear()  # they are not needed, and stay in memory otherwise
        finetuning.freeze(settings.finetune, model)
    return model


def steps_per_epoch(settings: Settings, dataset: Dataset) -> int:
    """Return the batches in an epoch: whole ones, a multiple of `steps_per_execution`."""
    batch, at_once = chosen(settings.data.batch_size), settings.training.steps_per_execution
    steps = len(dataset.train) // batch // at_once * at_once
    if not steps:
        raise SettingsError(
            f"training.steps_per_execution: received {at_once}, expected at most the"
            f" {len(dataset.train)} training images"
        )
    accumulated = settings.optimizer.gradient_accumulation_steps
    if steps < accumulated:
        raise SettingsError(
            f"optimizer.gradient_accumulation_steps: received {accumulated}, expected at most the"
            f" {steps} batches of an epoch"
        )
    return steps


def _info(dataset: Dataset, fingerprint: str, command: str, preset: str | None) -> dict[str, Any]:
    """Return the section `run` of config.yaml."""
    return {
        "command": command,
        "preset": preset,
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "device": provenance.device(),
        "dataset": dataset.name,
        "input_shape": list(dataset.image_shape),
        "data_sha256": fingerprint,
    }


def _resume(
    run: Run, options: _Options, fingerprint: str, weights: Weights | None = None
) -> Run | None:
    check_unfinished(run)
    if fingerprint != run.info["data_sha256"]:
        raise RunError(
            f"{run.folder}: trained on other images than {run.settings.data.name} holds now"
        )
    check_devices(run.settings, options.devices)
    with distribution.writable_run(run, options.devices) as run_to_write:
        return _fit(run_to_write, options, weights)


def _fit(run: Run, options: _Options, weights: Weights | None) -> Run | None:
    devices = options.devices
    with folder_lock(run.folder), stop_requests() as request:
        atomic.remove_leftovers(run.folder)
        with distribution.distributed(devices):
            loop = _train_model(run, options, weights, request)
        request.raise_if_requested(f"all epochs are saved; go on with: kmixer resume {run.folder}")
        model = distribution.local_model(run, loop.model, devices)
        callbacks = options.callbacks if devices.is_primary else ()
        splits = ("validation", "test") if options.read_test else ("validation",)
        write_results(run, model, loop, options.dataset, splits, callbacks)
    if options.verbose and devices.is_primary:
        PrintTraining(run).show_result()
    return run if devices.is_primary else None


def _train_model(
    run: Run, options: _Options, weights: Weights | None, request: StopRequest
) -> TrainingLoop:
    """Train the epochs that are left."""
    settings, dataset, devices = run.settings, options.dataset, options.devices
    keras.utils.set_random_seed(settings.training.seed)
    model = initial_model(settings, dataset, weights, resumes=checkpoint.exists(run.folder))
    multipliers = None
    if settings.finetune and settings.finetune.layer_decay != 1:
        decay = settings.finetune.layer_decay
        multipliers = finetuning.learning_rate_multipliers(model, decay)
    steps = steps_per_epoch(settings, dataset)
    loop = TrainingLoop(run, dataset, model, steps, multipliers, request, options.started, devices)
    callbacks = list(options.callbacks if devices.is_primary else ())
    if options.verbose and devices.is_primary:
        callbacks.append(printing := PrintTraining(run))
        printing.show_start(dataset, model, loop.position)
    if options.on_start and devices.is_primary:
        options.on_start(run, dataset, model, loop.position)
    loop.run_to_end(callbacks)
    return loop
