"""The content of a run's metrics.json; imports no Keras."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from ..config.schema import validation_message
from ..errors import RunError
from ..files.text import read_text
from .answers import Answers

MOST_BYTES = 1_000_000
Count = Annotated[int, Field(ge=0, lt=2**63)]  # larger ones do not fit into other numbers


class SplitMetrics(BaseModel):
    """Metrics of one split."""

    loss: FiniteFloat
    accuracy: FiniteFloat
    balanced_accuracy: FiniteFloat | None = None
    macro_f1: FiniteFloat | None = None
    calibration_error: FiniteFloat | None = None


class EpochMetrics(BaseModel):
    """Metrics of one epoch's weights; the trials of a search do not read the test set."""

    train: SplitMetrics
    validation: SplitMetrics
    test: SplitMetrics | None


class BestOnTest(BaseModel):
    """The epoch that is best on the test images: chosen on them, and so no estimate."""

    epoch: Count
    loss: FiniteFloat
    accuracy: FiniteFloat


class Metrics(BaseModel):
    """Metrics of a finished run; parameters that are not trained are those of batch norm.

    By `temperature` the logits of model.keras were divided after training; `best` is measured with
    it, `last` without. None: they were not.
    """

    dataset: str
    backend: str
    device: str
    epochs: Count
    best_epoch: Count
    best: EpochMetrics
    last: EpochMetrics
    temperature: FiniteFloat | None = None
    answers: Answers | None = None
    best_on_test: BestOnTest | None = None
    seconds: FiniteFloat
    seconds_to_first_step: FiniteFloat | None
    examples_per_second: FiniteFloat
    parameters: Count
    trainable_parameters: Count
    flops: Count
    peak_memory_bytes: Count | None
    content_sha256: dict[str, str] | None = None  # of what the other files hold, by their names


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the content of a metrics.json.

    Raises:
        RunError: it cannot be read, is not JSON, or does not hold `Metrics`.
    """
    text = read_text(path, most=MOST_BYTES)
    try:
        values = json.loads(text)
        if isinstance(values, dict) and "parameters" in values:  # from before batch norm
            values.setdefault("trainable_parameters", values["parameters"])
        return Metrics.model_validate(values).model_dump(exclude_unset=True)
    except ValidationError as error:
        message = validation_message(error, Metrics)
        raise RunError(f"{path}: damaged, or of another version: {message}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
