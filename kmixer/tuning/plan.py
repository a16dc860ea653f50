"""The plan of a search, and whether a search in progress was begun with the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import Settings, loading
from ..errors import SettingsError, nearest
from ..runs.resumable import changed_keys, changed_message
from .scoring import Scoring
from .space.space import Space
from .trials import check_objective

ENGINES = {
    "keras-tuner": ("random", "hyperband", "bayesian", "grid"),
    "optuna": ("tpe", "random", "grid", "hyperband"),
}
ENDS_BY_ITSELF = ("hyperband", "grid")  # of KerasTuner's tuners
DEFAULT_TRIALS = 20
STUDY_FILE = "optuna.jsonl"  # in the search's folder
FIXED = (
    "engine",
    "objective",
    "folds",
    "repeats",
    "training.backend",
)  # What even `--extend` cannot change


@dataclass(frozen=True)
class Plan:
    """What a search is to do.

    Attributes:
        settings: the base `Settings`, without a search section.
        section: the search space as the settings hold it.
        folder: of the search.
        engine: one of `ENGINES`.
        tuner: one of the engine's; None: its first.
        objective: one of `trials.OBJECTIVES`.
        scoring: the trainings that a trial's objective is the mean of.
        trials: how many to train; None: 20, or until the tuner ends by itself.
        seed: of the draws.
        workers: trials at once.
        budget: seconds that this search may take from now on, or None.
        max_params: trainable parameters that a model may have, or None.
        max_flash: bytes that a model's file for a microcontroller may have, or None.
        max_ram: bytes of working memory that it may need there, or None.
        max_seconds_per_epoch: that a trial may take, or None.
        keep: how many trials keep their weights.
        storage: of an Optuna study that others share; None: a file in the folder.
        role: `chief` or `worker` of KerasTuner's own protocol, or None.
        extend: whether a search that was begun with another plan goes on with this one.
    """

    settings: Settings
    section: dict[str, Any]
    folder: Path
    engine: str = "keras-tuner"
    tuner: str | None = None
    objective: str = "val_accuracy"
    scoring: Scoring = field(default_factory=Scoring)
    trials: int | None = None
    seed: int = 0
    workers: int = 1
    budget: float | None = None
    max_params: int | None = None
    max_flash: int | None = None
    max_ram: int | None = None
    max_seconds_per_epoch: float | None = None
    keep: int = 3
    storage: str | None = None
    role: str | None = None
    extend: bool = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise SettingsError(
                f"--engine: received {self.engine!r}, no such choice{nearest(self.engine, ENGINES)}"
            )
        tuners = ENGINES[self.engine]
        if self.tuner not in (None, *tuners):
            raise SettingsError(
                f"--tuner: received {self.tuner!r}, expected one of --engine {self.engine}:"
                f" {', '.join(tuners)}"
            )
        check_objective(self.objective)
        self.scoring.check(self.settings)
        if self.storage and self.engine != "optuna":
            raise SettingsError("--storage: received one, expected --engine optuna with it")
        if self.role and self.engine != "keras-tuner":
            raise SettingsError("--role: received one, expected --engine keras-tuner with it")
        if self.role and self.extend:
            raise SettingsError("--role: received one, expected no --extend with it")
        if self.role and self.workers > 1:
            raise SettingsError("--role: received one, expected one worker a process with it")

    @property
    def chosen_tuner(self) -> str:
        """The tuner, the engine's first where none was named."""
        return self.tuner or ENGINES[self.engine][0]

    @property
    def trial_limit(self) -> int | None:
        """How many trials to train; None: until the tuner ends by itself."""
        if self.trials is None and self.engine == "keras-tuner" and self.tuner in ENDS_BY_ITSELF:
            return None
        return self.trials or DEFAULT_TRIALS

    @property
    def for_chip(self) -> bool:
        """Whether models have to fit a microcontroller."""
        return bool(self.max_flash or self.max_ram)

    @property
    def study(self) -> str | Path:
        """The storage of an Optuna study: a file, or the URL of a database."""
        return self.storage or self.folder / STUDY_FILE

    @property
    def exclusive(self) -> bool:
        """Whether no other process takes part in the search."""
        return not (self.storage or self.role)

    @cached_property
    def space(self) -> Space:
        """The `Space`, checked against the settings.

        Raises:
            SettingsError: a key, a value or the whole of it is not possible.
        """
        space = Space(self.section)
        space.check(self.settings)
        return space

    def definition(self) -> dict[str, Any]:
        """Return what may not change between two commands of one search, JSON-able and flat."""
        search = {f"search.{path}": value for path, value in self.section.items()}
        limits = {"max_params": self.max_params, "seed": self.seed, "engine": self.engine,
                  "max_seconds_per_epoch": self.max_seconds_per_epoch,
                  "tuner": self.chosen_tuner, "objective": self.objective}  # fmt: skip
        chip = {"max_flash": self.max_flash, "max_ram": self.max_ram}
        limits |= {name: limit for name, limit in chip.items() if limit is not None}  # new, too
        if self.scoring != Scoring():  # searches of before there was a choice have no such key
            limits |= asdict(self.scoring)
        return limits | search | loading.flatten(self.settings)


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], plan: Plan) -> None:
    """Refuse to continue a search that was begun with another plan.

    Args:
        before: the `Plan.definition` that it was begun with.
        now: this command's.
        plan: this command's `Plan`.

    Raises:
        SettingsError: something differs; the first is named.
    """
    defaults = loading.flatten(Settings())  # of settings that are newer than the search
    before = {key: defaults[key] for key in now if key in defaults} | dict(before)
    before.pop("training.tensorboard", None)  # of before training.track
    changed = changed_keys(before, now)
    if plan.extend:
        # KerasTuner's grid knows no points but its own.
        grid = plan.engine == "keras-tuner" and "grid" in (before.get("tuner"), now["tuner"])
        changed = [key for key in changed if key in FIXED or (grid and "search." in key)]
    if changed:
        hint = "another --name" if plan.extend else "the same, another --name, or --extend"
        raise SettingsError(changed_message(plan.folder, changed, before, now, hint))
