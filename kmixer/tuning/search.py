"""A search: draw, train, record; until there are enough trials, time is up, or a signal comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import keras

from ..config import Settings, loading
from ..config.fields import chosen
from ..data import Dataset
from ..errors import InterruptedRunError, RunError, describe
from ..files import atomic
from ..files.lock import folder_lock
from ..models.chip_memory import chip_memory
from ..runs.asked import remember_asked
from ..runs.run import CHECKPOINT_FILE, MODEL_FILE, PREVIOUS_CHECKPOINT_FILE, run_state
from ..runs.signals import stop_requests
from ..training import distribution
from ..training.initial_model import check_model, steps_per_epoch
from ..training.resolve import resolve
from .datasets import SearchDatasets
from .engines.engine import open_engine
from .plan import Plan, check_same
from .trials import Trial, ranked
from .workers.loop import Loop
from .workers.process import Message
from .workers.resources import Resources

if TYPE_CHECKING:
    from .engines.keras_tuner_roles import ChiefEngine

CHECKPOINT_FILES = (CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE)
PATIENCE_SECONDS = 15  # trials of a search that was killed end within a step
DEFINITION = "search"  # the key under which an engine keeps the plan's definition
RATES = {"dropout", "head_dropout", "stochastic_depth"}  # of a model; they have no weights


class Cost(NamedTuple):
    """What a model needs: trainable parameters, and bytes of flash and RAM on a chip."""

    parameters: int
    flash: int = 0
    ram: int = 0


class SearchProgress(Protocol):
    """The display of a search."""

    def resumed(self, trials: list[Trial]) -> None:
        """Show the trials that the search has already; called once, at first."""

    def trial_started(self, trial: Trial) -> None:
        """Show that a trial has started."""

    def epoch_ended(self, trial: Trial, message: Message) -> None:
        """Show an epoch of a trial: a message of `epoch`, `of` and `row`."""

    def trial_ended(self, trial: Trial) -> None:
        """Show a trial with its outcome."""


class Search:
    """A search, new or continued.

    Args:
        plan: the `Plan`.
        resources: the `Resources` of each worker.
        datasets: the `SearchDatasets` of the plan's settings; default: loaded here.

    Raises:
        KmixerError: the space or the data do not allow it, it was begun with another plan, or the
            storage cannot be reached.
    """

    def __init__(
        self, plan: Plan, resources: Sequence[Resources], datasets: SearchDatasets | None = None
    ) -> None:
        self.plan, self.resources, self.space = plan, resources, plan.space
        distribution.check_backend(plan.settings)
        remember_asked(plan.settings)
        self.datasets = datasets or SearchDatasets(plan.settings.data)
        if plan.scoring.folds:
            self.datasets.base.check_folds(plan.scoring.folds)
        self.settings = self._with_statistics(plan.settings)
        self._costs: dict[str, Cost | str] = {}  # or the error, by the model's shape
        atomic.make_folder(plan.folder)
        self.engine = open_engine(plan)
        before, now = self.engine.read(DEFINITION), plan.definition()
        if before is not None:
            check_same(before, now, plan)
        if before != now:
            self.engine.write(DEFINITION, now)

    def _with_statistics(self, settings: Settings) -> Settings:
        """Measure mean and standard deviation of the images once for all trials."""
        if any(path.startswith("data.") for path in self.plan.section):
            return settings
        data = resolve(settings, self.datasets.base).data
        return settings.changed(data={"mean": data.mean, "std": data.std})

    def trial_settings(self, trial: Trial) -> Settings:
        """Return the `Settings` that a trial is trained with.

        With fewer epochs than the search's, a rung of Hyperband, the warmup is as much shorter.
        """
        settings = self.space.settings(self.settings, trial.values)
        if not trial.epochs:
            return settings
        layer: dict[str, Any] = {"training": {"epochs": trial.epochs}}
        if settings.schedule.name == "cosine":
            part = trial.epochs / chosen(settings.training.epochs)
            layer["schedule"] = {"warmup_epochs": settings.schedule.warmup_epochs * part}
        return loading.build_settings(settings.model_dump(mode="json"), layer)

    def trainings(self, trial: Trial, settings: Settings) -> list[tuple[Path, Settings]]:
        """Return the folder and the settings of each training of a trial."""
        return self.plan.scoring.trainings(trial.folder(self.plan.folder), settings)

    def problem(self, trial: Trial) -> str | None:
        """Return why a trial cannot be trained, or None."""
        try:
            settings = self.trial_settings(trial)
            self.datasets.check_fit(settings)  # arithmetic, before a model is built
            cost = self._cost(settings)
        except Exception as error:  # whatever it is, only this point fails
            return describe(error)
        if isinstance(cost, str):
            return cost
        plan = self.plan
        for needed, limit, what, option in (
            (cost.parameters, plan.max_params, "parameters", "--max-params"),
            (cost.flash, plan.max_flash, "bytes of flash", "--max-flash"),
            (cost.ram, plan.max_ram, "bytes of RAM", "--max-ram"),
        ):
            if limit and needed > limit:
                return f"{needed:,} {what}, more than the {limit:,} of {option}"
        return None

    def _cost(self, settings: Settings) -> Cost | str:
        """Return what a model would need, or why it cannot be built; each shape is built once."""
        dataset = self.datasets.load(settings.data)
        resolved = resolve(settings, dataset)
        steps_per_epoch(resolved, dataset)
        shape = _model_shape(resolved, dataset)
        if shape not in self._costs:
            try:
                self._costs[shape] = model_cost(resolved, dataset, self.plan.for_chip)
            except Exception as error:  # whatever it is, only models of this shape fail
                self._costs[shape] = describe(error)
        return self._costs[shape]

    def run(self, progress: SearchProgress, lock: int | None = None) -> None:
        """Train trials until the search is over.

        Args:
            progress: the display.
            lock: a file descriptor that the trials are to hold.

        Raises:
            SettingsError: no point of the space can be trained.
            InterruptedRunError: a signal came; the same command continues the search.
        """
        with stop_requests() as request:
            Loop(self, progress, request, lock).run()
        if request.signal is not None:
            raise InterruptedRunError(
                f"interrupted; the same command goes on with {self.plan.folder}", request.signal
            )

    def remove_weights(self) -> None:
        """Keep the weights of the best trials only, and the checkpoints of unfinished ones."""
        trials = self.engine.all_trials()
        best = ranked(trials, self.plan.objective)[: self.plan.keep]
        unfinished = [trial for trial in trials if trial.outcome is None]
        kept = {
            folder
            for trial in [*best, *unfinished]
            for folder in self.plan.scoring.folders(trial.folder(self.plan.folder))
        }
        for folder in (self.plan.folder / "trials").glob("trial-*"):
            if folder not in kept:
                _remove_files(folder, [MODEL_FILE, *CHECKPOINT_FILES])
            elif run_state(folder) == "finished":
                _remove_files(folder, CHECKPOINT_FILES)


def _remove_files(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _model_shape(settings: Settings, dataset: Dataset) -> str:
    """Return a text that two models share if their weights have the same shapes."""
    return repr((
        settings.model.model_dump(exclude=RATES), settings.finetune, settings.data.resize_size,
        settings.data.crop_size, dataset.image_shape, len(dataset.class_names),
    ))  # fmt: skip


def model_cost(settings: Settings, dataset: Dataset, for_chip: bool = False) -> Cost:
    """Build a model without weights, however large it is, and count what it would need.

    Args:
        settings: resolved `Settings`.
        dataset: their `Dataset`.
        for_chip: whether flash and RAM are asked for; else they are 0.

    Raises:
        SettingsError: the model cannot be built on these images.
    """
    try:
        model, _ = check_model(settings, dataset)
        parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        if not for_chip:
            return Cost(parameters)
        memory = chip_memory(model)
        return Cost(parameters, memory.flash, memory.arena)
    finally:
        keras.backend.clear_session()
        if keras.backend.backend() == "jax":  # it keeps what it traced, of every shape
            import jax

            jax.clear_caches()


def run(
    plan: Plan,
    resources: Sequence[Resources],
    progress: SearchProgress,
    datasets: SearchDatasets | None = None,
    on_start: Callable[[Search], object] = lambda search: None,
) -> Search:
    """Open a search, run it to its end, and return it.

    Args:
        plan: the `Plan`.
        resources: the `Resources` of each worker.
        progress: the display.
        datasets: see `Search`.
        on_start: called with the search once it is open.

    Raises:
        KmixerError: see `Search` and `Search.run`; another search works in the folder.
    """
    lock_folder = folder_lock(plan.folder, PATIENCE_SECONDS) if plan.exclusive else nullcontext()
    with lock_folder as lock:
        search = Search(plan, resources, datasets)
        try:
            on_start(search)
            progress.resumed(search.engine.all_trials())
            if plan.role == "chief":
                cast("ChiefEngine", search.engine).serve()
            else:
                search.run(progress, lock)
        finally:
            search.engine.close()
    return search


def finished_trials(trials: Sequence[Trial], objective: str) -> list[Trial]:
    """Return the finished trials, best first.

    Raises:
        RunError: no trial finished; the reason of the last failure is in the message.
    """
    best = ranked(trials, objective)
    if not best:
        reasons = [t.outcome.reason for t in trials if t.outcome and t.outcome.reason]
        raise RunError(f"no trial finished{': ' + reasons[-1] if reasons else ''}")
    return best
