"""Settings → a trained run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from .. import backend
from ..config import Settings
from ..data import load_splits
from ..data.digests import split_digests
from ..data.quality import Findings, find_problems
from ..errors import RunError, SettingsError
from ..files import atomic, signature, staging
from ..files.lock import folder_lock
from ..runs.asked import check_asked, remember_asked
from ..runs.conditions import (
    check_conditions,
    present_stretch,
    record_stretch,
    resumed_elsewhere,
)
from ..runs.consistency import inconsistency
from ..runs.naming import run_stem
from ..runs.resumable import check_unfinished, find_resumable_run
from ..runs.run import PROBLEMS_FILE, create_run
from ..runs.seen_images import seen_by_start, write_seen_images
from ..runs.signals import stop_requests
from ..tracking.subjects import run_result, run_subject
from ..tracking.trackers import check_installed
from ..tracking.tracking import tracked
from . import checkpoint, distribution, finetuning
from .callbacks.printing import PrintTraining
from .callbacks.tracking import TrackEpochs
from .complete import complete
from .distribution import Devices
from .initial_model import check_model, check_size, initial_model, steps_per_epoch
from .loop import TrainingLoop
from .repair import repair
from .resolve import check_devices
from .results import write_results

if TYPE_CHECKING:
    from ..data import Dataset
    from ..data.digests import Digests
    from ..runs.conditions import Stretch
    from ..runs.run import Run
    from ..runs.signals import StopRequest
    from .checkpoint_state import Position
    from .initial_model import Weights

    Callbacks = Sequence[keras.callbacks.Callback]
    OnStart = Callable[[Run, Dataset, keras.Model, Position], None]


@dataclass(frozen=True)
class _Options:
    """What a training is given beside its run; see `train`."""

    dataset: Dataset
    digests: Digests
    devices: Devices
    stretch: Stretch
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
            being the `Position` that it continues from.
        read_test: whether the test set is read at the end; a search judges by validation alone.
        verbose: 1 prints a line an epoch, and what is trained; 0 nothing.
        started: `time.perf_counter()` when the command began; default: now.
        watchers: the old name of `callbacks`.

    Returns:
        The finished `Run`; None in a process that helps another one, which writes the folder.

    Raises:
        KmixerError: the data, the settings or the disk do not allow it, or the loss diverged.
        InterruptedRunError: a signal ended the training.
    """
    started = started or time.perf_counter()
    callbacks = [*callbacks, *_renamed(watchers)]
    _check_test(settings, read_test)
    remember_asked(settings)
    backend.select(settings.training.backend)
    check_installed(settings.training.track)
    devices = distribution.find_devices(settings)
    dataset = dataset or load_splits(settings.data)
    digests = split_digests(dataset)
    # A search's trials share their images, and do not tell again what is wrong with them.
    findings = find_problems(dataset, digests, settings.data) if read_test else Findings()
    dataset = _with_notes(dataset, settings, findings, digests)
    settings, choices = complete(settings, dataset, devices)
    _, weights = check_model(settings, dataset)
    stretch = present_stretch(settings)
    options = _Options(
        dataset, digests, devices, stretch, callbacks, on_start, read_test, verbose, started
    )
    fingerprint = dataset.fingerprint()
    location: dict[str, Any] = {
        "root": root,
        "stem": run_stem(dataset.name, preset),
        "name": name,
        "out": out,
    }
    run = find_resumable_run(settings, **location) if go_on else None
    if run:
        done = run.finished and not inconsistency(run)
        return run if done else _resume(run, options, fingerprint, weights)
    info = _info(dataset, fingerprint, command, preset, stretch) | finetuning.start_info(settings)
    info |= {"choices": choices} if choices else {}
    write_images = partial(_write_images, digests, findings)
    with distribution.run_location(devices, location) as location:
        run = create_run(settings, info, dataset.class_names, **location, write_more=write_images)
        return _fit(run, options, weights)


def resume(
    run: Run, *, dataset: Dataset | None = None, callbacks: Callbacks = (),
    on_start: OnStart | None = None, read_test: bool = True, verbose: int = 1,
    started: float | None = None, watchers: Callbacks = (), strict: bool = False,
) -> Run | None:  # fmt: skip
    """Continue an interrupted run from its newest checkpoint; the rest as `train`.

    Files that do not belong to the checkpoint, as in a folder that was copied while it was trained,
    are written anew from it.

    Args:
        strict: refuse to go on where the result could differ, in its last bits, from that of a run
            which is not interrupted: under other versions, on another processor or another number
            of threads. By default a line says so, and config.yaml records both.

    Raises:
        RunError: the run is finished or was not trained, another process trains it, its checkpoints
            are damaged or of another run, its data have changed, or `strict` refuses.
    """
    started = started or time.perf_counter()
    callbacks = [*callbacks, *_renamed(watchers)]
    check_unfinished(run)
    check_asked(run)
    backend.select(run.settings.training.backend)
    devices = distribution.find_devices(run.settings)
    stretch = present_stretch(run.settings)
    if strict:
        check_conditions(run, stretch)
    dataset = dataset or load_splits(run.settings.data)
    options = _Options(
        dataset, split_digests(dataset), devices, stretch, callbacks, on_start, read_test, verbose,
        started,
    )  # fmt: skip
    return _resume(run, options, dataset.fingerprint())


def _check_test(settings: Settings, read_test: bool) -> None:
    if settings.training.test_every_epoch and not read_test:
        raise SettingsError(
            "training.test_every_epoch: received true, expected false in a search, which judges by"
            " the validation images alone"
        )


def _with_notes(
    dataset: Dataset, settings: Settings, findings: Findings, digests: Digests
) -> Dataset:
    """Add what is wrong with the images, and which of them the start has seen, to the notes."""
    seen = seen_by_start(settings.finetune.run, digests) if settings.finetune else []
    return replace(dataset, notes=(*dataset.notes, *findings.notes, *seen))


def _write_images(digests: Digests, findings: Findings, folder: Path) -> None:
    """Write into a new run folder which images it sees, and what is wrong with them."""
    write_seen_images(folder, digests)
    if findings.problems:
        atomic.write_text(folder / PROBLEMS_FILE, findings.as_csv())


def _renamed(watchers: Callbacks) -> Callbacks:
    """Accept `callbacks` under its old name, from a caller of `train` or `resume`."""
    if watchers:
        message = "the argument watchers is called callbacks now"
        warnings.warn(message, DeprecationWarning, stacklevel=3)
    return watchers


def _info(
    dataset: Dataset, fingerprint: str, command: str, preset: str | None, stretch: Stretch
) -> dict[str, Any]:
    """Return the section `run` of config.yaml."""
    return {
        "command": command,
        "preset": preset,
        **stretch,
        "dataset": dataset.name,
        "input_shape": list(dataset.image_shape),
        "data_sha256": fingerprint,
    }


def _resume(
    run: Run, options: _Options, fingerprint: str, weights: Weights | None = None
) -> Run | None:
    check_unfinished(run)
    if fingerprint != run.info.get("data_sha256"):
        raise RunError(
            f"{run.folder}: trained on other images than {run.settings.data.name} holds now"
        )
    check_devices(run.settings, options.devices)
    check_size(run.settings, options.dataset)
    with distribution.writable_run(run, options.devices) as run_to_write:
        return _fit(run_to_write, options, weights, resumes=True)


def _fit(run: Run, options: _Options, weights: Weights | None, resumes: bool = False) -> Run | None:
    devices = options.devices
    names = run.settings.training.track if devices.is_primary else ()
    with (
        folder_lock(run.folder), stop_requests() as request,
        tracked(names, run_subject(run), partial(run_result, run)) as tracking,
    ):  # fmt: skip
        staging.remove_leftovers(run.folder)
        if resumes:
            signature.remove(run.folder)  # of files that are written anew
            run = record_stretch(run, options.stretch)
        tracking.begin()
        if tracking.trackers:
            options = replace(options, callbacks=[*options.callbacks, TrackEpochs(run, tracking)])
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
    loop.position.notes += resumed_elsewhere(run)
    repair(run, model, loop.position, steps, dataset, options.digests)
    if options.verbose and devices.is_primary:
        callbacks.append(printing := PrintTraining(run))
        printing.show_start(dataset, model, loop.position)
    if options.on_start and devices.is_primary:
        options.on_start(run, dataset, model, loop.position)
    loop.run_to_end(callbacks)
    return loop
