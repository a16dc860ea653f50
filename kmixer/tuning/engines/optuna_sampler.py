"""The search space in Optuna's own terms, and the samplers that draw from it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import optuna

from ..space.parameter import Searched
from ..space.space import Space

LONGEST_NAME = 200  # characters; databases have no room for more


def sampler(tuner: str, seed: int, rank: int) -> optuna.samplers.BaseSampler:
    """Return a sampler whose draws depend on the seed and the trial's rank, not on the process.

    Args:
        tuner: `random`; all others draw as `tpe`.
        seed: of the search.
        rank: how many trials were drawn before it.
    """
    trial_seed = seed + 1000 * rank
    if tuner == "random":
        return optuna.samplers.RandomSampler(seed=trial_seed)
    return optuna.samplers.TPESampler(seed=trial_seed, constant_liar=True)


class FixedPointSampler(optuna.samplers.BaseSampler):
    """Returns a known point: of a grid, or of a trial that was lost.

    `study.enqueue_trial` would put the point into the storage first, where any worker's next trial
    takes it: between that and the mark that says whose retry it is, a worker can be killed, or two
    of them can enqueue the same point. `optuna.samplers.PartialFixedSampler` is experimental.

    Args:
        space: the `Space`.
        values: of the point, by path.
    """

    def __init__(self, space: Space, values: Mapping[str, Any]) -> None:
        self.codes = {
            parameter_name(searched): searched.parameter.encode(values[searched.path])
            for searched in space.searched
            if searched.active(values)
        }

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        """Return nothing: no parameter is drawn together with others."""
        return {}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, optuna.distributions.BaseDistribution],
    ) -> dict[str, Any]:
        """Return nothing; see `infer_relative_search_space`."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> Any:
        """Return the point's code for a parameter."""
        return self.codes[param_name]


def suggest(trial: optuna.Trial, searched: Searched) -> Any:
    """Return the value that an `optuna.Trial` has for a searched setting."""
    parameter, name = searched.parameter, parameter_name(searched)
    if parameter.listed is not None:
        return parameter.decode(trial.suggest_categorical(name, parameter.codes))
    if parameter.integer:
        step, low = int(parameter.step or 1), int(parameter.low)
        high = low + (int(parameter.high) - low) // step * step
        return trial.suggest_int(name, low, high, step=step, log=parameter.log)
    return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)


def parameter_name(searched: Searched) -> str:
    """Return a setting's name in the study, which contains its choice: that may be extended."""
    parameter = searched.parameter
    if parameter.listed is None:
        kind = "integers" if parameter.integer else "floats"
        return f"{searched.name} {kind}"
    name = f"{searched.name} {parameter.codes}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{searched.name[:LONGEST_NAME]} {sha256(name.encode()).hexdigest()[:12]}"
