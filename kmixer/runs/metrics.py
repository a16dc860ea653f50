"""What a run's metrics.json holds; imports no Keras."""

import json

from pydantic import BaseModel, FiniteFloat, ValidationError

from ..errors import RunError


class Figures(BaseModel):
    """Of one split."""

    loss: FiniteFloat
    accuracy: FiniteFloat


class Splits(BaseModel):
    """Of one epoch's weights; a search's trials do not read the test set."""

    train: Figures
    validation: Figures
    test: Figures | None


class Metrics(BaseModel):
    """Of a finished run. Parameters that are not trained are batch norm's statistics."""

    dataset: str
    backend: str
    device: str
    epochs: int
    best_epoch: int
    best: Splits
    last: Splits
    seconds: FiniteFloat
    seconds_to_first_step: FiniteFloat | None
    examples_per_second: FiniteFloat
    parameters: int
    trainable_parameters: int
    flops: int
    peak_memory_bytes: int | None


def read_metrics(text, source):
    """Return the dict of a metrics.json.

    Args:
        text: its content.
        source: the run folder, for the error.

    Raises:
        RunError: it is no JSON, or holds something else than `Metrics`.
    """
    try:
        values = json.loads(text)
        if isinstance(values, dict) and "parameters" in values:  # before there was batch norm
            values.setdefault("trainable_parameters", values["parameters"])
        return Metrics.model_validate(values).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"]))
        problem = "is missing" if first["type"] == "missing" else f"holds {first['input']!r:.60}"
        raise RunError(f"{source}: metrics.json is of another version: {path} {problem}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{source}: metrics.json is damaged: {error}") from None
