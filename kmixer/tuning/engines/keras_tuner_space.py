"""The search space as KerasTuner draws from it."""

import keras_tuner


def hyperparameters(space):
    """Return the space as `keras_tuner.HyperParameters`."""
    hps = keras_tuner.HyperParameters()
    paths = {each.path: each for each in space.searched}
    for each in space.searched:
        _declare(hps, each, paths, list(each.parameter.when.items()))
    return hps


def _declare(hps, searched, paths, conditions):
    if conditions:
        (path, wanted), *rest = conditions
        parent = paths[path]
        codes = [parent.parameter.encode(value) for value in wanted]
        with hps.conditional_scope(parent.name, codes):
            _declare(hps, searched, paths, rest)
        return
    parameter = searched.parameter
    if parameter.listed is not None:
        hps.Choice(searched.name, parameter.codes)
        return
    kind = hps.Int if parameter.integer else hps.Float
    options = {"sampling": "log"} if parameter.log else {}
    kind(searched.name, parameter.min, parameter.max, **options, **_step(parameter))


def _step(parameter):
    return {"step": parameter.step} if parameter.step else {}
