"""What settings are made of: strict numbers, and sections that are frozen and know their keys."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

# Strict: flags and files are YAML, so text or a boolean where a number belongs is a mistake.
Probability = Annotated[FiniteFloat, Field(ge=0, le=1, strict=True)]
Share = Annotated[FiniteFloat, Field(ge=0, lt=1, strict=True)]
Positive = Annotated[FiniteFloat, Field(gt=0, strict=True)]
NonNegative = Annotated[FiniteFloat, Field(ge=0, strict=True)]
Count = Annotated[int, Field(ge=1, lt=2**31, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
OpenShare = Annotated[FiniteFloat, Field(gt=0, lt=1, strict=True)]
Size = Annotated[int, Field(ge=0, strict=True)]
Widths = Count | Annotated[list[Count], Field(min_length=1)]


_Value = TypeVar("_Value")


def chosen(value: _Value | None) -> _Value:
    """Return a setting that may be left open, once it is chosen (`kmixer/training/choices.py`)."""
    assert value is not None
    return value


class Section(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, **changes: Any) -> Self:
        """Return a copy with other values, which are not validated.

        Args:
            changes: the new values by key; for a section within, a dict of those of its keys that
                change: `settings.changed(training={"jit": False}, data={"batch_size": 8})`.

        Raises:
            KeyError: there is no such key.
        """
        update = {}
        for key, value in changes.items():
            if key not in type(self).model_fields:
                raise KeyError(f"{type(self).__name__} has no {key!r}")
            section = getattr(self, key)
            inside = isinstance(section, Section) and isinstance(value, dict)
            update[key] = section.changed(**value) if inside else value
        return self.model_copy(update=update)
