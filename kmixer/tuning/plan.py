"""What a search is to do, and whether it is still what was begun."""

from dataclasses import dataclass
from pathlib import Path

from ..config import Settings, loading
from ..errors import SettingsError, nearest
from .space.space import Space
from .trials import check_objective

ENGINES = {
    "keras-tuner": ("random", "hyperband", "bayesian", "grid"),
    "optuna": ("tpe", "random", "grid", "hyperband"),
}
UNBOUNDED = ("hyperband", "grid")  # of KerasTuner: they end by themselves
TRIALS = 20
FIXED = ("engine", "objective", "training.backend")  # what even `--extend` cannot change


@dataclass(frozen=True)
class Plan:
    """A search.

    Attributes:
        settings: the base `Settings`, without a search section.
        section: the search space as the settings hold it.
        folder: of the search.
        engine: one of `ENGINES`.
        tuner: one of the engine's; None: its first.
        objective: one of `record.OBJECTIVES`.
        trials: how many are to be trained; None: 20, or until the tuner ends by itself.
        seed: of the draws.
        workers: trials at once.
        budget: seconds that this search may take from now on, or None.
        max_params: trainable parameters that a model may have, or None.
        max_seconds_per_epoch: that a trial may take, or None.
        keep: how many trials keep their weights.
        storage: of an Optuna study that others share; None: a file in the folder.
        role: `chief` or `worker` of KerasTuner's own protocol, or None.
        extend: whether a search that was begun otherwise is gone on with.
    """

    settings: Settings
    section: dict
    folder: Path
    engine: str = "keras-tuner"
    tuner: str | None = None
    objective: str = "val_accuracy"
    trials: int | None = None
    seed: int = 0
    workers: int = 1
    budget: float | None = None
    max_params: int | None = None
    max_seconds_per_epoch: float | None = None
    keep: int = 3
    storage: str | None = None
    role: str | None = None
    extend: bool = False

    def __post_init__(self):
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
        if self.storage and self.engine != "optuna":
            raise SettingsError("--storage: received one, expected --engine optuna with it")
        if self.role and self.engine != "keras-tuner":
            raise SettingsError("--role: received one, expected --engine keras-tuner with it")
        if self.role and self.extend:
            raise SettingsError("--role: received one, expected no --extend with it")
        if self.role and self.workers > 1:
            raise SettingsError("--role: received one, expected one worker a process with it")

    @property
    def chosen_tuner(self):
        """The tuner, the engine's first where none was named."""
        return self.tuner or ENGINES[self.engine][0]

    @property
    def most(self):
        """How many trials are to be trained; None: until the tuner ends by itself."""
        if self.trials is None and self.engine == "keras-tuner" and self.tuner in UNBOUNDED:
            return None
        return self.trials or TRIALS

    @property
    def alone(self):
        """Whether no other process takes part in the search."""
        return not (self.storage or self.role)

    def space(self):
        """Return the `Space`, checked against the settings.

        Raises:
            SettingsError: a key, a value or the whole of it is not possible.
        """
        space = Space(self.section)
        space.check(self.settings)
        return space

    def definition(self):
        """Return what may not change between two commands of one search, JSON-able and flat."""
        search = {f"search.{path}": value for path, value in self.section.items()}
        limits = {"max_params": self.max_params, "seed": self.seed, "engine": self.engine,
                  "max_seconds_per_epoch": self.max_seconds_per_epoch,
                  "tuner": self.chosen_tuner, "objective": self.objective}  # fmt: skip
        return limits | search | loading.flat(self.settings)


def check_same(begun, now, plan):
    """Refuse to go on with a search that was begun otherwise.

    Args:
        begun: its `Plan.definition`.
        now: this command's.
        plan: this command's `Plan`.

    Raises:
        SettingsError: something differs; the first is named.
    """
    defaults = loading.flat(Settings())  # of settings that are newer than the search
    begun = {key: defaults[key] for key in now if key in defaults} | begun
    changed = [key for key in begun | now if begun.get(key) != now.get(key)]
    if plan.extend:
        # KerasTuner's grid knows no points but its own.
        grid = plan.engine == "keras-tuner" and "grid" in (begun.get("tuner"), now["tuner"])
        changed = [key for key in changed if key in FIXED or (grid and "search." in key)]
    if changed:
        key = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        hint = "another --name" if plan.extend else "the same, another --name, or --extend"
        raise SettingsError(
            f"{plan.folder}: begun with {key} {begun.get(key)!r}, received {now.get(key)!r}{more};"
            f" expected {hint}"
        )
