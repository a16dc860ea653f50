"""Which precision trains a model fastest on this machine: measured, and remembered."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from ..config.fields import chosen
from ..data.batches import repeated
from ..data.cache.folder import find_cache_folder
from ..errors import KmixerError
from ..files import atomic
from ..files.text import read_text
from ..models import count_flops
from ..models.factory import build_model
from ..runs.conditions import present_stretch
from .benchmark_rates import QUIET
from .callbacks.timing import StepClock
from .optimizer import compile_model

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset

STEP_FLOPS = 20e9  # about what a step of the measurement costs: a tenth of a second on a laptop
FEWEST_IMAGES = 4
STEPS, ROUNDS, TUNED_ROUNDS = 5, 3, 8
GAIN = 1.1  # that a lower precision must bring: less than that, a machine's noise decides
FILE, MOST_BYTES, MOST_KEPT = "fastest-precision.json", 1_000_000, 1_000
Rates = dict[str, float]  # examples/s by candidate
_STORED: TypeAdapter[dict[str, Rates]] = TypeAdapter(
    dict[str, dict[str, Annotated[FiniteFloat, Field(gt=0)]]]
)


@dataclass(frozen=True)
class Candidate:
    """A precision, and whether the step is compiled.

    Attributes:
        precision: a value of `training.precision`.
        jit: a value of `training.jit`.
    """

    precision: str
    jit: bool

    def __str__(self) -> str:
        return f"{self.precision}{' compiled' if self.jit else ''}"


def choose_precision(settings: Settings, dataset: Dataset) -> tuple[Settings, list[str]]:
    """Fill in `training.precision: auto`, and `training.jit` with it where that is open.

    Args:
        settings: resolved `Settings` but for these two.
        dataset: their `Dataset`.

    Returns:
        (the settings, a line on what was chosen and why; no line where nothing was open).
    """
    if settings.training.precision != "auto":
        return settings, []
    rates = remembered(settings, dataset)
    origin = "as measured before on this machine" if rates else "measured now"
    rates = rates or measure(settings, dataset)
    best = fastest(settings, rates)
    told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    line = f"training.precision {best}: {told} examples/s, {origin}"
    training = {"precision": best.precision, "jit": best.jit}
    return settings.changed(training=training), [line]


def fastest(settings: Settings, rates: Rates) -> Candidate:
    """Return the fastest candidate; float32 unless another one gains enough to be told apart."""
    float32, *others = candidates(settings)
    best = max(others, key=lambda candidate: rates[str(candidate)])
    return best if rates[str(best)] >= GAIN * rates[str(float32)] else float32


def candidates(settings: Settings) -> list[Candidate]:
    """Return what is measured, float32 first.

    TensorFlow multiplies bfloat16 by other code without XLA than with it, so both are measured.
    """
    training = settings.training
    usual = training.backend in settings.model.jit_backends
    given = training.jit
    found = [Candidate("float32", usual if given is None else given)]
    found += [Candidate("mixed_bfloat16", found[0].jit)]
    if training.backend == "tensorflow" and given is None:
        found += [Candidate("mixed_bfloat16", not usual)]
    return found


def remembered(settings: Settings, dataset: Dataset) -> Rates | None:
    """Return the rates that were measured before for such a model on such a machine, or None."""
    rates = _stored().get(_key(settings, dataset), {})
    return rates if {str(c) for c in candidates(settings)} == set(rates) else None


def measure(
    settings: Settings, dataset: Dataset, rounds: int = ROUNDS,
    progress: Callable[[int, int], object] | None = None,
) -> Rates:  # fmt: skip
    """Measure the candidates' training steps, each once in every round, and keep the rates.

    Args:
        settings: resolved `Settings`, of which precision and jit are not used.
        dataset: their `Dataset`, whose first images are trained on.
        rounds: how often each is measured; the median of all their steps counts.
        progress: called with (done, total) rounds.
    """
    steps = {str(c): _Steps(settings, dataset, c) for c in candidates(settings)}
    _run_in_turn(list(steps.values()), rounds, progress)
    rates = {name: round(step.rate(), 1) for name, step in steps.items()}
    _store(_key(settings, dataset), rates)
    steps.clear()
    gc.collect()  # Keras' models are full of cycles, and the training needs the memory
    return rates


def _run_in_turn(
    steps: Sequence[_Steps], rounds: int, progress: Callable[[int, int], object] | None
) -> None:
    for done in range(rounds):
        for step in steps:
            step.run()
        if progress:
            progress(done + 1, rounds)


class _Steps:
    """A compiled model of a candidate, and a batch that it is trained on again and again."""

    def __init__(self, settings: Settings, dataset: Dataset, candidate: Candidate) -> None:
        settings = settings.changed(
            training={"precision": candidate.precision, "jit": candidate.jit}
        )
        classes, train = len(dataset.class_names), dataset.train
        self.clock = StepClock()
        self.model = build_model(settings, dataset.image_shape, classes)
        compile_model(self.model, settings, steps_per_epoch=STEPS)
        images = train.images[: self._batch_size(settings)]
        labels = np.eye(classes, dtype=np.float32)[train.labels[: len(images)]]
        self.batches, self.examples = repeated((images, labels)), len(images)
        self.run()  # the first steps compile, and wait for memory
        self.clock = StepClock()

    def _batch_size(self, settings: Settings) -> int:
        """Return how many images a step of the measurement trains on."""
        affordable = int(STEP_FLOPS / (3 * max(count_flops(self.model), 1)))
        return min(chosen(settings.data.batch_size), max(affordable, FEWEST_IMAGES))

    def run(self) -> None:
        """Train some steps; the clock does not count what `fit` does before the first."""
        options: dict[str, Any] = QUIET | {"callbacks": [self.clock]}
        self.model.fit(self.batches, steps_per_epoch=STEPS, epochs=1, **options)

    def rate(self) -> float:
        """Return the examples/s of the median step."""
        return self.examples / median(self.clock.seconds)


def _key(settings: Settings, dataset: Dataset) -> str:
    """Return a digest of all that the rates depend on: the machine, the libraries, the model."""
    here = present_stretch(settings)
    conditions = dict(here["conditions"])
    facts = {
        "versions": here["versions"],
        "device": here["device"],
        "conditions": {k: v for k, v in conditions.items() if k not in ("precision", "jit")},
        "model": settings.model.model_dump(mode="json"),
        "optimizer": settings.optimizer.name,
        "sizes": [settings.data.resize_size, settings.data.crop_size, settings.data.batch_size],
        "images": [*dataset.image_shape, len(dataset.class_names)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _stored() -> dict[str, Rates]:
    """Return what is remembered; nothing where the file is missing or damaged."""
    with suppress(KmixerError, OSError, ValidationError):
        if path := _file():
            return _STORED.validate_json(read_text(path, most=MOST_BYTES))
    return {}


def _store(key: str, rates: Rates) -> None:
    """Remember rates; a folder that cannot be written only means that they are measured again."""
    kept = dict(list(_stored().items())[-(MOST_KEPT - 1) :]) | {key: rates}
    with suppress(KmixerError, OSError):
        if path := _file():
            atomic.make_folder(path.parent)
            atomic.write_text(path, json.dumps(kept))


def _file() -> Path | None:
    cache = find_cache_folder()
    return cache.path / FILE if cache and cache.limit else None
