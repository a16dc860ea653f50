"""What settings are made of: strict numbers, and sections that are frozen and know their keys."""

from typing import Annotated

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


class Section(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")
