"""The search space as Optuna draws from it."""

import optuna

from ..errors import SettingsError


def sampler(tuner, space, seed, number):
    """Return a sampler whose draws depend on the seed and the trial alone, not on who draws.

    Args:
        tuner: `tpe`, `random`, `grid` or `hyperband`, which draws as `tpe`.
        space: the `Space`.
        seed: of the search.
        number: of the trial.
    """
    own = seed + 1000 * number
    if tuner == "random":
        return optuna.samplers.RandomSampler(seed=own)
    if tuner == "grid":
        return optuna.samplers.GridSampler(grid(space), seed=seed)
    return optuna.samplers.TPESampler(seed=own, constant_liar=True)


def suggest(drawn, searched):
    """Return the value that an Optuna trial has for a `Searched`."""
    parameter, name = searched.parameter, name_of(searched)
    if parameter.choice is not None:
        return parameter.decode(drawn.suggest_categorical(name, parameter.codes))
    if parameter.integer:
        step = parameter.step or 1
        high = parameter.min + (parameter.max - parameter.min) // step * step
        return drawn.suggest_int(name, parameter.min, high, step=step, log=parameter.log)
    return drawn.suggest_float(
        name, parameter.min, parameter.max, step=parameter.step, log=parameter.log
    )


def name_of(searched):
    """Return a setting's name in the study, which holds a choice's values: they may be extended."""
    choice = searched.parameter.choice
    return searched.name if choice is None else f"{searched.name} {searched.parameter.codes}"


def grid(space):
    """Return the values of each setting for Optuna's grid.

    Raises:
        SettingsError: a range has no step, or a setting depends on another.
    """
    found = {}
    for each in space.searched:
        parameter = each.parameter
        if parameter.when:
            raise SettingsError(
                f"search.{each.path}.when: Optuna's grid knows no conditions; expected"
                " --engine keras-tuner, or no `when`"
            )
        if parameter.choice is not None:
            found[name_of(each)] = parameter.codes
            continue
        step = parameter.step or (1 if parameter.integer else None)
        if step is None:
            raise SettingsError(
                f"search.{each.path}: received a range without a step, expected a choice or a step"
                " for a grid"
            )
        count = int((parameter.max - parameter.min) / step + 1e-9) + 1
        found[each.name] = [parameter.min + index * step for index in range(count)]
    return found
