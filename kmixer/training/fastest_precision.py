"""Which precision trains a model fastest on this machine: measured, and remembered."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..models import count_flops
from ..models.factory import build_model
from .measured_rates import Rates, measurement_key, remember, stored_rates
from .timed_steps import TimedSteps

if TYPE_CHECKING:
    import keras

    from ..config import Settings
    from ..data import Dataset

STEP_FLOPS = 20e9  # about what a step of the measurement costs: a tenth of a second on a laptop
FEWEST_IMAGES = 4
ROUNDS, TUNED_ROUNDS = 3, 8
GAIN = 1.1  # that a lower precision must bring: less than that, a machine's noise decides


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
    rates = stored_rates().get(measurement_key(settings, dataset), {})
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
    steps = {str(c): _steps(settings, dataset, c) for c in candidates(settings)}
    _run_in_turn(list(steps.values()), rounds, progress)
    rates = {name: round(step.rate(), 1) for name, step in steps.items()}
    remember(measurement_key(settings, dataset), rates)
    steps.clear()
    gc.collect()  # Keras' models are full of cycles, and the training needs the memory
    return rates


def _run_in_turn(
    steps: Sequence[TimedSteps], rounds: int, progress: Callable[[int, int], object] | None
) -> None:
    for done in range(rounds):
        for step in steps:
            step.run()
        if progress:
            progress(done + 1, rounds)


def _steps(settings: Settings, dataset: Dataset, candidate: Candidate) -> TimedSteps:
    settings = settings.changed(training={"precision": candidate.precision, "jit": candidate.jit})
    model = build_model(settings, dataset.image_shape, len(dataset.class_names))
    return TimedSteps(settings, dataset, _measured_images(settings, model), model)


def _measured_images(settings: Settings, model: keras.Model) -> int:
    """Return how many images a step of the measurement trains on."""
    affordable = int(STEP_FLOPS / (3 * max(count_flops(model), 1)))
    return min(settings.data.images_per_step, max(affordable, FEWEST_IMAGES))
