"""The interface of the engines, and the one that a plan names; the library is imported then."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ...config.fields import chosen
from ...errors import SettingsError
from ...files.opened import check_own_file
from ..plan import STUDY_FILE
from ..trials import Outcome, Trial
from .journal import FILE, Journal

if TYPE_CHECKING:
    from ..plan import Plan

MISSING_OPTUNA = "--engine optuna: not installed; pip install 'kmixer[tune]'"


class Engine(Protocol):
    """Draws the trials of a search and keeps their record."""

    def ask(self) -> Trial | Literal["wait"] | None:
        """Return the next `Trial`; `WAIT` where there may be one later; None at the end."""

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Record the objective after an epoch and return whether to stop the trial."""

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Record how a trial ended."""

    def release(self, trial: Trial) -> None:
        """Give up a trial that was stopped; its training may continue later."""

    def all_trials(self) -> list[Trial]:
        """Return all trials, those of other workers too, by number."""

    def read(self, key: str) -> Any:
        """Return what was last written under a key, or None."""

    def write(self, key: str, value: Any) -> None:
        """Keep a JSON-able value under a key."""

    def close(self) -> None:
        """Release what the engine holds open."""


def open_engine(plan: Plan) -> Engine:
    """Open the engine that a plan names.

    Raises:
        SettingsError: it is not installed, or its storage cannot be reached.
    """
    return _open_optuna(plan) if plan.engine == "optuna" else _open_keras_tuner(plan)


def dashboard_command(plan: Plan) -> str:
    """Return the command that shows a search in Optuna's dashboard.

    Of a database's URL, what may be secret is left out.

    Raises:
        SettingsError: the engine is another one, or not installed.
    """
    if plan.engine != "optuna":
        raise SettingsError(
            f"--show: received --engine {plan.engine}, expected --engine optuna: the dashboard is"
            " Optuna's"
        )
    try:
        from .optuna_storage import public_address
    except ImportError:
        raise SettingsError(MISSING_OPTUNA) from None
    return shlex.join(["optuna-dashboard", public_address(plan.study)])


def _open_optuna(plan: Plan) -> Engine:
    try:
        from .optuna_engine import OptunaEngine
    except ImportError:
        raise SettingsError(MISSING_OPTUNA) from None
    check_own_file(plan.folder / STUDY_FILE)
    return OptunaEngine(
        plan.space, plan.chosen_tuner, plan.objective, plan.seed,
        chosen(plan.settings.training.epochs),
        plan.study, plan.folder.name,
        max_trials=plan.trial_limit or 0, exclusive=plan.exclusive,
    )  # fmt: skip


def _open_keras_tuner(plan: Plan) -> Engine:
    from .keras_tuner_engine import KerasTunerEngine, make_oracle

    engine = KerasTunerEngine
    if plan.role:
        from .keras_tuner_roles import ChiefEngine, WorkerEngine, check_roles

        check_roles()
        engine = ChiefEngine if plan.role == "chief" else WorkerEngine
    oracle = make_oracle(
        plan.space, plan.chosen_tuner, plan.objective, plan.seed,
        chosen(plan.settings.training.epochs),
        plan.folder, max_trials=plan.trial_limit if plan.role == "chief" else None,
    )  # fmt: skip
    journal = Journal(plan.folder / FILE)
    return engine(oracle, plan.space, plan.objective, journal, plan.trial_limit)
