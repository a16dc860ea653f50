"""How fast this machine trains: step, whole path, plain Keras, matmul rate, RandAugment."""

import tempfile
import time
import timeit
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median

import keras
import numpy as np

from ..augment import AugmentationPipeline, RandAugment, augmentation
from ..data import load, load_splits
from ..data.batches import TrainingPlan, repeated, training_batches
from ..errors import SettingsError, nearest
from ..models import count_flops
from ..runs import provenance
from .benchmark_rates import RAND_AUGMENT_MAGNITUDE, fit_rate, stream_rate
from .inputs import streams, with_images
from .optimizer import compile_model
from .train import check_model, resolve, steps_per_epoch, train

MATMUL_SIDE = 2048

# What each ratio divides, where both were measured.
RATIOS = {
    "train_over_step": ("train", "step"),
    "train_over_plain_keras": ("train", "plain_keras"),
    "step_over_matmul": ("step_gflops", "matmul_gflops"),
    "step_over_backend_matmul": ("step_gflops", "backend_matmul_gflops"),
    "pipeline_over_train": ("pipeline", "train"),
    "reading_over_train": ("reading", "train"),
    "accelerator_over_host": ("on_accelerator", "on_host"),
    "rand_augment_over_keras": ("rand_augment", "keras_rand_augment"),
}


@dataclass(frozen=True)
class Bench:
    """What is measured: resolved settings on a data set."""

    settings: object
    dataset: object
    steps: int

    @property
    def batch_size(self):
        """Images in a batch."""
        return self.settings.data.batch_size

    @property
    def classes(self):
        """Number of classes."""
        return len(self.dataset.class_names)

    def model(self, jit):
        """Build and compile the settings' model afresh."""
        settings = self.settings.changed(training={"jit": jit})
        model = check_model(settings, self.dataset)
        compile_model(model, settings, steps_per_epoch(settings, self.dataset))
        return model


def benchmark(settings, *, steps=60, rounds=1, only=(), progress=None):
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
    measures = _measures(only)
    dataset = load_splits(settings.data)
    bench = Bench(resolve(settings, dataset), dataset, steps)
    model = bench.model(bench.settings.training.jit)
    samples = {name: [] for name in measures}
    for done in range(rounds * len(measures)):
        name = list(measures)[done % len(measures)]
        samples[name].append(measures[name](bench))
        if progress:
            progress(done + 1, rounds * len(measures))
    return _report(bench, model, {name: median(values) for name, values in samples.items()})


def _measures(only):
    """Return what can be measured with what is installed, by name: `Bench` → rate."""
    measures = dict(_MEASURES)
    if keras.backend.backend() == "tensorflow":
        measures["step_other_jit"] = _other_jit
    if find_spec("tensorflow"):
        from . import benchmark_baselines

        measures |= benchmark_baselines.MEASURES
    for name in only:
        if name not in measures:
            raise SettingsError(f"--only: received {name!r}{nearest(name, measures)}")
    return {name: measures[name] for name in only or measures}


def _report(bench, model, rates):
    flops = _training_flops(model)
    derived = {}
    if "step" in rates:
        derived["step_gflops"] = round(rates["step"] * flops / 1e9, 1)
    if rate := rates.get("train", rates.get("step")):
        derived["epoch_seconds"] = round(len(bench.dataset.train) / rate, 1)
    figures = rates | derived
    return derived | {
        "dataset": bench.dataset.name,
        "parameters": model.count_params(),
        "backend": bench.settings.training.backend,
        "jit": bench.settings.training.jit,
        "precision": bench.settings.training.precision,
        "batch_size": bench.batch_size,
        "device": provenance.device(),
        "peak_memory_bytes": provenance.peak_memory(),
        "git_commit": provenance.git_commit(),
        "training_flops_per_example": flops,
        "rates": {name: round(rate, 1) for name, rate in rates.items()},
        "ratios": {
            name: round(figures[above] / figures[below], 3)
            for name, (above, below) in RATIOS.items()
            if above in figures and below in figures
        },
    }


def _training_flops(model):
    """Forward, gradient of the weights, gradient of the inputs; the first layer's need none."""
    first = next(layer for layer in model.layers if hasattr(layer, "kernel"))
    positions = np.prod(first.output.shape[1:-1])
    return int(3 * count_flops(model) - 2 * positions * np.prod(first.kernel.shape))


def _matmul(bench):
    """GFLOP/s of large float32 matrix products, by NumPy's BLAS on the processor."""
    a = np.random.default_rng(0).random((MATMUL_SIDE, MATMUL_SIDE), dtype=np.float32)
    return _matmul_rate(lambda: a @ a)


def _backend_matmul(bench):
    """The same on the backend, by the fastest kernel it has for one large product."""
    a = keras.random.normal((MATMUL_SIDE, MATMUL_SIDE), dtype="float32", seed=0)
    return _matmul_rate(lambda: keras.ops.convert_to_numpy(keras.ops.matmul(a, a)[0, 0]))


def _matmul_rate(multiply):
    multiply()
    taken = timeit.repeat(multiply, number=1, repeat=15)
    return 2 * MATMUL_SIDE**3 / median(taken) / 1e9


def _step(bench):
    return _step_rate(bench, bench.settings.training.jit)


def _other_jit(bench):
    return _step_rate(bench, not bench.settings.training.jit)


def _step_rate(bench, jit):
    """Examples/s of the bare train step: one batch again and again, no callbacks."""
    split = bench.dataset.train
    images = split.images[: bench.batch_size]
    labels = np.eye(bench.classes, dtype=np.float32)[split.labels[: bench.batch_size]]
    return fit_rate(bench.model(jit), repeated((images, labels)), bench.steps, bench.batch_size)


class _EpochClock(keras.callbacks.Callback):
    """The time at each epoch's beginning and at the end."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_epoch_begin(self, epoch, logs=None):
        self.times.append(time.perf_counter())

    def on_train_end(self, logs=None):
        self.times.append(time.perf_counter())


def _train(bench):
    """The whole of `kmixer train`: two epochs, the second timed with validation and files."""
    values = bench.settings.model_dump()
    values["training"] |= {"epochs": 2, "early_stopping": None}
    values["schedule"] |= {"warmup_epochs": 0.0} if "warmup_epochs" in values["schedule"] else {}
    settings = type(bench.settings).model_validate(values)
    clock = _EpochClock()
    with tempfile.TemporaryDirectory() as folder:
        train(settings, root=folder, watchers=[clock])
    examples = steps_per_epoch(settings, bench.dataset) * bench.batch_size
    return examples / (clock.times[2] - clock.times[1])


def _reading(bench):
    """Images/s of reading the data set: decoded and resized, which happens once, into memory."""
    data, read = bench.settings.data, []
    taken = timeit.timeit(lambda: read.append(load(data.name, data.dir, data.image_size)), number=1)
    return sum(map(len, read[0].splits.values())) / taken


def _pipeline(bench):
    """Images/s of the input pipeline alone."""
    return _host_rate(bench, augmentation(bench.settings.augment))


def _rand_augment(bench):
    """Images/s of the input pipeline with nothing but RandAugment, draws for each image."""
    layer = RandAugment(num_ops=2, magnitude=RAND_AUGMENT_MAGNITUDE)
    return _host_rate(bench, AugmentationPipeline([layer]))


def _host_rate(bench, augment):
    train = bench.dataset.train
    steps = len(train) // bench.batch_size
    plan = TrainingPlan(train, bench.classes, bench.batch_size, 0, steps, augment=augment)
    return stream_rate(training_batches(plan), 10 * bench.steps, bench.batch_size)


def _feed_rate(on, bench):
    """Examples/s with the images on the host, or on the accelerator (see `inputs.py`)."""
    settings = bench.settings.changed(augment={"on": on})
    model = check_model(settings, bench.dataset)
    steps = steps_per_epoch(settings, bench.dataset)
    model = with_images(settings, bench.dataset, model)
    compile_model(model, settings, steps)
    batches, _ = streams(settings, bench.dataset, steps)
    return fit_rate(model, batches, bench.steps, bench.batch_size)


_MEASURES = {
    "matmul_gflops": _matmul,
    "backend_matmul_gflops": _backend_matmul,
    "reading": _reading,
    "pipeline": _pipeline,
    "rand_augment": _rand_augment,
    "step": _step,
    "train": _train,
    "on_host": partial(_feed_rate, "host"),
    "on_accelerator": partial(_feed_rate, "accelerator"),
}
