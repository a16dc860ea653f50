"""The values that one setting is drawn from."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, FiniteFloat, StrictBool, ValidationError, model_validator

from ...config.fields import Section
from ...config.schema import validation_message
from ...errors import SettingsError

KINDS = "[a, b, c], {min: …, max: …} or a list of those with `when`"


class Parameter(Section):
    """The values of one setting: a choice, or a range of integers or floats."""

    choice: list[Any] | None = None
    min: int | FiniteFloat | None = None
    max: int | FiniteFloat | None = None
    step: int | FiniteFloat | None = None
    log: StrictBool = False
    when: dict[str, list[Any]] = Field({}, description="values of other settings that it needs")

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
        if self.choice is not None:
            if (self.min, self.max, self.step, self.log) != (None, None, None, False):
                raise ValueError("received a choice and a range, expected one of them")
            if not self.choice:
                raise ValueError("received an empty choice, expected at least one value")
        elif self.min is None or self.max is None:
            raise ValueError(f"received no whole range, expected {KINDS}")
        elif self.min >= self.max:
            raise ValueError(f"received {self.min}..{self.max}, expected the smaller one first")
        elif self.log and self.min <= 0:
            raise ValueError(f"received {self.min}..{self.max}:log, expected a range above 0")
        elif self.log and self.step:
            raise ValueError("received log and a step, expected one of them")
        elif self.step is not None and not 0 < self.step <= self.max - self.min:
            raise ValueError(f"received step {self.step}, expected one within the range")
        return self

    @property
    def low(self) -> float:
        """The smaller end of a range.

        Raises:
            ValueError: it is a choice.
        """
        if self.min is None:
            raise ValueError("a choice has no smaller end")
        return self.min

    @property
    def high(self) -> float:
        """The larger end of a range.

        Raises:
            ValueError: it is a choice.
        """
        if self.max is None:
            raise ValueError("a choice has no larger end")
        return self.max

    @property
    def integer(self) -> bool:
        """Whether the range is of integers."""
        return all(isinstance(value, int) for value in (self.min, self.max, self.step or 0))

    @property
    def listed(self) -> list[Any] | None:
        """The choice, or the values of floats with a step; None of any other range."""
        if self.choice is not None or self.step is None or self.integer:
            return self.choice
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return [float(f"{self.low + index * self.step:.12g}") for index in range(count)]

    @property
    def codes(self) -> list[Any]:
        """The listed values as every engine can hold them: numbers or words, else JSON texts."""
        values = self.listed or []
        kinds = {type(value) for value in values}
        if kinds == {int, float}:
            return [float(value) for value in values]
        plain = len(kinds) == 1 and kinds <= {str, int, float}
        return list(values) if plain else [json.dumps(value) for value in values]

    @property
    def points(self) -> Sequence[Any] | None:
        """All values that can be drawn; None where they are infinitely many."""
        if self.listed is None and self.integer:
            return range(int(self.low), int(self.high) + 1, int(self.step or 1))
        return self.listed

    def encode(self, value: Any) -> Any:
        """Return the code of a value."""
        return value if self.listed is None else self.codes[self.listed.index(value)]

    def holds(self, value: Any) -> bool:
        """Say whether a value can be drawn."""
        if self.points is not None:
            return value in self.points
        return isinstance(value, int | float) and self.low <= value <= self.high

    def decode(self, code: Any) -> Any:
        """Return the value that a code stands for."""
        if self.listed is None:
            return int(code) if self.integer else float(code)
        return self.listed[self.codes.index(code)]


@dataclass(frozen=True)
class Searched:
    """A searched setting.

    Attributes:
        name: in the engine; the path, and where a path comes twice its condition too.
        path: of the setting.
        parameter: a `Parameter`.
    """

    name: str
    path: str
    parameter: Parameter

    def active(self, values: Mapping[str, Any]) -> bool:
        """Say whether its conditions hold for the values drawn so far, by path."""
        return all(values.get(path) in wanted for path, wanted in self.parameter.when.items())


def read(path: str, value: Any) -> list[Searched]:
    """Return what the section `search` says of one path, as a list of `Searched`.

    Raises:
        SettingsError: it is no parameter, and no list of them.
    """
    several = isinstance(value, list) and value and all(map(_has_conditions, value))
    if not several:
        return [Searched(path, path, _parameter(path, value))]
    parameters = [_parameter(path, entry) for entry in value]
    return [Searched(_name(path, parameter), path, parameter) for parameter in parameters]


def combinations(
    searched: Sequence[Searched], values: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield every combination of some settings' values by path, the last changing fastest.

    Args:
        searched: settings with finitely many values, after those that their conditions name.
        values: of the settings before these.
    """
    values = values or {}
    if not searched:
        yield values
        return
    first, *rest = searched
    if not first.active(values):
        yield from combinations(rest, values)
        return
    for value in first.parameter.points or ():
        yield from combinations(rest, values | {first.path: value})


def _has_conditions(value: Any) -> bool:
    return isinstance(value, dict) and "when" in value


def _parameter(path: str, value: Any) -> Parameter:
    if not isinstance(value, list | dict):
        raise SettingsError(f"search.{path}: received {value!r:.60}, expected {KINDS}")
    try:
        return Parameter.model_validate({"choice": value} if isinstance(value, list) else value)
    except ValidationError as error:
        raise SettingsError(validation_message(error, Parameter, f"search.{path}")) from None


def _name(path: str, parameter: Parameter) -> str:
    conditions = (f"{key}={','.join(map(str, wanted))}" for key, wanted in parameter.when.items())
    return f"{path} ({' '.join(conditions)})"
