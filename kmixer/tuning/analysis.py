"""What a finished search says: importance of settings, the accuracy-cost front."""

import numpy as np

LEAST_FOR_IMPORTANCE = 8


NONE = -0.2  # below the axis: a setting that a trial does not have


TREES, REPEATS = 200, 20


def importance(trials, space):
    """Return how much the objective depends on each setting, as shares that sum to 1, by path.

    A forest of trees is fitted to the finished trials; a setting's share is what the fit loses when
    the setting's values are shuffled (scikit-learn's permutation importance).

    Args:
        trials: finished `Trial`s.
        space: the `Space`.

    Returns:
        A dict, most important first; empty with fewer than eight trials or equal values.
    """
    values = np.array([trial.outcome.value for trial in trials])
    if len(trials) < LEAST_FOR_IMPORTANCE or np.ptp(values) == 0:
        return {}
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    paths = list(dict.fromkeys(each.path for each in space.searched))
    columns = np.array(
        [[position(space, path, trial.values) for path in paths] for trial in trials]
    )
    forest = RandomForestRegressor(TREES, random_state=0).fit(columns, values)
    lost = permutation_importance(forest, columns, values, n_repeats=REPEATS, random_state=0)
    shares = np.maximum(lost.importances_mean, 0)
    shares = shares / (shares.sum() or 1)
    return dict(sorted(zip(paths, map(float, shares), strict=True), key=lambda item: -item[1]))


def position(space, path, values):
    """Return where a value lies in its range or choice, from 0 to 1; `NONE` where it has none."""
    for each in space.searched:
        if each.path == path and path in values and each.active(values):
            return _position(each.parameter, values[path])
    return NONE


def _position(parameter, value):
    if not parameter.holds(value):  # the search has been extended since
        return NONE
    if parameter.listed is not None:
        return parameter.listed.index(value) / max(len(parameter.listed) - 1, 1)
    low, high = parameter.min, parameter.max
    if parameter.log:
        low, high, value = np.log([low, high, value])
    return float((value - low) / (high - low))


def pareto(trials, cost, more=False):
    """Return the trials that no other beats in accuracy without costing more.

    Args:
        trials: finished `Trial`s.
        cost: the name of a metric.
        more: whether more of it is better.
    """
    sign = -1 if more else 1
    front, best = [], -1.0
    key = lambda t: (sign * t.outcome.metrics[cost], -t.outcome.metrics["val_accuracy"])  # noqa: E731
    for trial in sorted(trials, key=key):
        if trial.outcome.metrics["val_accuracy"] > best:
            best = trial.outcome.metrics["val_accuracy"]
            front.append(trial)
    return front
