"""The search space in KerasTuner's own terms."""

from __future__ import annotations

from typing import Any

import keras_tuner

from ..space.parameter import Parameter, Searched
from ..space.space import Space


def hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    """Return the space as `keras_tuner.HyperParameters`."""
    hps = keras_tuner.HyperParameters()
    by_path = {searched.path: searched for searched in space.searched}
    for searched in space.searched:
        _declare(hps, searched, by_path, list(searched.parameter.when.items()))
    return hps


def _declare(
    hps: keras_tuner.HyperParameters,
    searched: Searched,
    by_path: dict[str, Searched],
    conditions: list[tuple[str, list[Any]]],
) -> None:
    if conditions:
        (path, wanted), *rest = conditions
        parent = by_path[path]
        codes = [parent.parameter.encode(value) for value in wanted]
        with hps.conditional_scope(parent.name, codes):
            _declare(hps, searched, by_path, rest)
        return
    parameter = searched.parameter
    if parameter.listed is not None:
        hps.Choice(searched.name, parameter.codes)
        return
    declare_range = hps.Int if parameter.integer else hps.Float
    options = _sampling(parameter)
    declare_range(searched.name, parameter.min, parameter.max, **options)


def _sampling(parameter: Parameter) -> dict[str, Any]:
    sampling = {"sampling": "log"} if parameter.log else {}
    return sampling | ({"step": parameter.step} if parameter.step else {})
