"""Analysis of finished trials: importance of the settings, accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .space.parameter import Parameter
from .space.space import Space
from .trials import Trial

LEAST_FOR_IMPORTANCE = 8  # finished trials
NOT_SET = -0.2  # below the axis: the position of a setting that a trial does not have
TREES, REPEATS = 200, 20


def importance(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Return how much the objective depends on each setting, as fractions that sum to 1, by path.

    A random forest is fitted to the finished trials; a setting's importance is what the fit loses
    when the setting's values are shuffled (scikit-learn's permutation importance).

    Args:
        trials: finished `Trial`s.
        space: the `Space`.

    Returns:
        A dict, most important first; empty with fewer than eight trials or equal values.
    """
    scores = np.array([trial.score for trial in trials])
    if len(trials) < LEAST_FOR_IMPORTANCE or np.ptp(scores) == 0:
        return {}
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    columns = np.array(
        [[position(space, path, trial.values) for path in space.paths] for trial in trials]
    )
    forest = RandomForestRegressor(TREES, random_state=0).fit(columns, scores)
    loss = permutation_importance(forest, columns, scores, n_repeats=REPEATS, random_state=0)
    weights = np.maximum(loss.importances_mean, 0)
    weights = weights / (weights.sum() or 1)
    by_path = zip(space.paths, map(float, weights), strict=True)
    return dict(sorted(by_path, key=lambda item: -item[1]))


def position(space: Space, path: str, values: Mapping[str, Any]) -> float:
    """Return where a value lies in its range or choice, from 0 to 1; `NOT_SET` without a value."""
    for searched in space.searched:
        if searched.path == path and path in values and searched.active(values):
            return _position(searched.parameter, values[path])
    return NOT_SET


def _position(parameter: Parameter, value: Any) -> float:
    if not parameter.holds(value):  # the search has been extended since
        return NOT_SET
    if parameter.listed is not None:
        return parameter.listed.index(value) / max(len(parameter.listed) - 1, 1)
    low, high = parameter.low, parameter.high
    if parameter.log:
        low, high, value = np.log([low, high, value])
    return float((value - low) / (high - low))


def pareto(trials: Sequence[Trial], cost: str, more_is_better: bool = False) -> list[Trial]:
    """Return the trials that no other beats in accuracy without costing more.

    Args:
        trials: finished `Trial`s.
        cost: the name of a metric.
        more_is_better: whether more of it is better.
    """
    sign = -1 if more_is_better else 1

    def cheapest_first(trial: Trial) -> tuple[float, float]:
        return sign * trial.metrics[cost], -trial.metrics["val_accuracy"]

    front, best = [], -1.0
    for trial in sorted(trials, key=cheapest_first):
        if trial.metrics["val_accuracy"] > best:
            best = trial.metrics["val_accuracy"]
            front.append(trial)
    return front
