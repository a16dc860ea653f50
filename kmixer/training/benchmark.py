"""How fast this machine trains: step, whole path, plain Keras, plain PyTorch, matrix products."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..augment import AugmentationPipeline, RandAugment, augmentation
from ..config.fields import chosen
from ..data import load_splits
from ..data.batches import TrainingPlan, repeated, training_batches
from ..errors import SettingsError, nearest
from ..models import count_flops
from ..runs import provenance
from ..runs.conditions import bfloat16_units
from .benchmark_rates import RAND_AUGMENT_MAGNITUDE, fit_rate, run_seconds, stream_rate
from .callbacks.timing import EpochClock
from .complete import complete
from .initial_model import check_model, initial_model, steps_per_epoch
from .inputs import Inputs
from .optimizer import compile_model
from .train import train

if TYPE_CHECKING:
    from ..config import Settings
    from ..data import Dataset

MATMUL_SIDE, ACCELERATOR_MATMUL_SIDE = 2048, 8192  # the latter fills a GPU's units

# What each ratio divides, where both were measured.
RATIOS = {
    "train_over_step": ("train", "step"),
    "train_over_plain_keras": ("train", "plain_keras"),
    "step_over_plain_torch": ("step", "plain_torch"),
    "step_over_plain_torch_bfloat16": ("step", "plain_torch_bfloat16"),
    "step_over_plain_torch_compiled": ("step", "plain_torch_compiled"),
    "step_over_matmul": ("step_gflops", "matmul_gflops"),
    "step_over_backend_matmul": ("step_gflops", "backend_matmul_gflops"),
    "pipeline_over_train": ("pipeline", "train"),
    "reading_over_train": ("reading", "train"),
    "accelerator_over_host": ("on_accelerator", "on_host"),
    "rand_augment_over_keras": ("rand_augment", "keras_rand_augment"),
}


@dataclass(frozen=True)
class Bench:
    """What is measured.

    Attributes:
        settings: resolved `Settings`.
        dataset: their `Dataset`.
        steps: training steps per measurement.
    """

    settings: Settings
    dataset: Dataset
    steps: int

    @property
    def batch_size(self) -> int:
        """Images in a batch."""
        return self.settings.data.images_per_step

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.class_names)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(self.settings, self.dataset)

    def compiled_model(self, jit: bool) -> keras.Model:
        """Build and compile a new model of the settings."""
        settings = self.settings.changed(training={"jit": jit})
        model = initial_model(settings, self.dataset)
        compile_model(model, settings, self.steps_per_epoch)
        return model


Measures = Mapping[str, Callable[[Bench], float]]


def benchmark(
    settings: Settings, *, steps: int = 60, rounds: int = 1, only: Sequence[str] = (),
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure training speed.

    Args:
        settings: `Settings`.
        steps: training steps per measurement.
        rounds: how often everything is measured; medians are returned.
        only: names of the rates to measure; default all. A large model takes hours for some.
        progress: called with (done, total) measurements.

    Returns:
        A JSON-able dict: rates in examples/s and GFLOP/s, the ratios between them, the seconds of
        an epoch by the rate of the whole training, or else of its bare step, and the process's
        largest resident memory in bytes.

    Raises:
        SettingsError: `only` names what is not measured.
    """
    measures = _measures(only, settings)
    dataset = load_splits(settings.data)
    settings, _ = complete(settings, dataset)
    bench = Bench(settings, dataset, steps)
    model, _ = check_model(bench.settings, dataset)
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for done in range(rounds * len(measures)):
        name = list(measures)[done % len(measures)]
        samples[name].append(measures[name](bench))
        if progress:
            progress(done + 1, rounds * len(measures))
    return _report(bench, model, {name: median(values) for name, values in samples.items()})


def _measures(only: Sequence[str], settings: Settings) -> Measures:
    """Return what can be measured with what is installed, by name: `Bench` → rate."""
    measures: dict[str, Callable[[Bench], float]] = dict(_MEASURES)
    if keras.backend.backend() == "tensorflow":
        measures["step_other_jit"] = _other_jit
    if find_spec("tensorflow"):
        from . import benchmark_baselines

        measures |= benchmark_baselines.MEASURES
    if find_spec("torch"):
        from . import benchmark_torch

        measures |= benchmark_torch.measures(settings.model)
    for name in only:
        if name not in measures:
            raise SettingsError(f"--only: received {name!r}{nearest(name, measures)}")
    return {name: measures[name] for name in only or measures}


def _report(bench: Bench, model: keras.Model, rates: Mapping[str, float]) -> dict[str, Any]:
    flops = _training_flops(model)
    derived: dict[str, float] = {}
    if "step" in rates:
        derived["step_gflops"] = round(rates["step"] * flops / 1e9, 1)
    if rate := rates.get("train", rates.get("step")):
        derived["epoch_seconds"] = round(len(bench.dataset.train) / rate, 1)
    numbers = {**rates, **derived}
    return derived | {
        "dataset": bench.dataset.name,
        "parameters": model.count_params(),
        "backend": bench.settings.training.backend,
        "jit": bench.settings.training.jit,
        "precision": bench.settings.training.precision,
        "batch_size": bench.batch_size,
        "device": provenance.device(),
        "bfloat16_units": bfloat16_units(),
        "peak_memory_bytes": provenance.peak_memory(),
        "git_commit": provenance.git_commit(),
        "training_flops_per_example": flops,
        "rates": {name: round(rate, 1) for name, rate in rates.items()},
        "ratios": {
            name: round(numbers[above] / numbers[below], 3)
            for name, (above, below) in RATIOS.items()
            if above in numbers and below in numbers
        },
    }


def _training_flops(model: keras.Model) -> int:
    """Return FLOPs per image: forward, gradients of weights and of inputs, but for the images."""
    first = next(layer for layer in model.layers if hasattr(layer, "kernel"))
    positions = np.prod(first.output.shape[1:-1])
    return int(3 * count_flops(model) - 2 * positions * np.prod(first.kernel.shape))


def _matmul(bench: Bench) -> float:
    """Return the GFLOP/s of large float32 matrix products, by NumPy's BLAS on the processor."""
    a = np.random.default_rng(0).random((MATMUL_SIDE, MATMUL_SIDE), dtype=np.float32)
    return _matmul_rate(lambda: a @ a, MATMUL_SIDE)


def _backend_matmul(bench: Bench) -> float:
    """Return the same of the backend, on its device and in the precision of the training."""
    dtype = keras.DTypePolicy(chosen(bench.settings.training.precision)).compute_dtype
    side = ACCELERATOR_MATMUL_SIDE if provenance.accelerators() else MATMUL_SIDE
    a = keras.random.normal((side, side), dtype=dtype, seed=0)
    return _matmul_rate(lambda: keras.ops.convert_to_numpy(keras.ops.matmul(a, a)[0, 0]), side)


def _matmul_rate(multiply: Callable[[], Any], side: int) -> float:
    multiply()
    return 2 * side**3 / median(run_seconds(multiply) for _ in range(15)) / 1e9


def _step(bench: Bench) -> float:
    return _step_rate(bench, bool(bench.settings.training.jit))


def _other_jit(bench: Bench) -> float:
    return _step_rate(bench, not bench.settings.training.jit)


def _step_rate(bench: Bench, jit: bool) -> float:
    """Return the examples/s of the bare train step: one batch again and again, no callbacks."""
    split = bench.dataset.train
    images = split.images[: bench.batch_size]
    labels = np.eye(bench.classes, dtype=np.float32)[split.labels[: bench.batch_size]]
    return fit_rate(
        bench.compiled_model(jit), repeated((images, labels)), bench.steps, bench.batch_size
    )


def _train(bench: Bench) -> float:
    """Return the examples/s of `kmixer train`: the second epoch, with validation and files."""
    values = bench.settings.model_dump()
    values["training"] |= {"epochs": 2, "early_stopping": None}
    values["schedule"] |= {"warmup_epochs": 0.0} if "warmup_epochs" in values["schedule"] else {}
    settings = type(bench.settings).model_validate(values)
    clock = EpochClock()
    with tempfile.TemporaryDirectory() as folder:
        train(settings, root=folder, callbacks=[clock], verbose=0)
    return bench.steps_per_epoch * bench.batch_size / (clock.times[2] - clock.times[1])


def _reading(bench: Bench) -> float:
    """Return the images/s of reading the data set into memory, decoded and resized."""
    data = bench.settings.data.changed(cache=False)
    loaded: list[Dataset] = []
    seconds = run_seconds(lambda: loaded.append(load_splits(data)))
    return sum(map(len, loaded[0].splits.values())) / seconds


def _pipeline(bench: Bench) -> float:
    """Return the images/s of the input pipeline alone."""
    return _host_rate(bench, augmentation(bench.settings.augment))


def _rand_augment(bench: Bench) -> float:
    """Return the images/s of the input pipeline with nothing but RandAugment, per image."""
    layer = RandAugment(num_ops=2, magnitude=RAND_AUGMENT_MAGNITUDE)
    return _host_rate(bench, AugmentationPipeline([layer]))


def _host_rate(bench: Bench, augment: AugmentationPipeline) -> float:
    train = bench.dataset.train
    steps = len(train) // bench.batch_size
    plan = TrainingPlan(train, bench.classes, bench.batch_size, 0, steps, augment=augment)
    return stream_rate(training_batches(plan), 10 * bench.steps, bench.batch_size)


def _inputs_rate(on: str, bench: Bench) -> float:
    """Return the examples/s with the images on the host or the accelerator (see `inputs.py`)."""
    settings = bench.settings.changed(augment={"on": on})
    inputs = Inputs(settings, bench.dataset, bench.steps_per_epoch)
    model = inputs.model_to_train(initial_model(settings, bench.dataset))
    compile_model(model, settings, bench.steps_per_epoch)
    return fit_rate(model, inputs.training_batches(), bench.steps, bench.batch_size)


_MEASURES: Measures = {
    "matmul_gflops": _matmul,
    "backend_matmul_gflops": _backend_matmul,
    "reading": _reading,
    "pipeline": _pipeline,
    "rand_augment": _rand_augment,
    "step": _step,
    "train": _train,
    "on_host": partial(_inputs_rate, "host"),
    "on_accelerator": partial(_inputs_rate, "accelerator"),
}
