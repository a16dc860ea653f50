"""The search space as Optuna draws from it."""

from hashlib import sha256

import optuna

LONGEST_NAME = 200  # characters; databases have no room for more


def sampler(tuner, seed, ordinal):
    """Return a sampler whose draws depend on the seed and the trial's rank, not on who draws.

    Args:
        tuner: `random`; all others draw as `tpe`.
        seed: of the search.
        ordinal: how many trials were drawn before it.
    """
    own = seed + 1000 * ordinal
    if tuner == "random":
        return optuna.samplers.RandomSampler(seed=own)
    return optuna.samplers.TPESampler(seed=own, constant_liar=True)


class Fixed(optuna.samplers.BaseSampler):
    """Draws a point that is known already: of a grid, or of a trial that was lost.

    Args:
        space: the `Space`.
        values: of the point, by path.
    """

    def __init__(self, space, values):
        self.codes = {
            name_of(each): each.parameter.encode(values[each.path])
            for each in space.searched
            if each.active(values)
        }

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.codes[param_name]


def suggest(drawn, searched):
    """Return the value that an `optuna.Trial` has for a `Searched`."""
    parameter, name = searched.parameter, name_of(searched)
    if parameter.listed is not None:
        return parameter.decode(drawn.suggest_categorical(name, parameter.codes))
    if parameter.integer:
        step = parameter.step or 1
        high = parameter.min + (parameter.max - parameter.min) // step * step
        return drawn.suggest_int(name, parameter.min, high, step=step, log=parameter.log)
    return drawn.suggest_float(name, parameter.min, parameter.max, log=parameter.log)


def name_of(searched):
    """Return a setting's name in the study, which holds its values: they may be extended."""
    parameter = searched.parameter
    if parameter.listed is None:
        kind = "integers" if parameter.integer else "floats"
        return f"{searched.name} {kind}"
    name = f"{searched.name} {parameter.codes}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{searched.name[:LONGEST_NAME]} {sha256(name.encode()).hexdigest()[:12]}"
