"""How fast this machine trains: step, whole path, plain Keras, matmul rate, RandAugment."""

import tempfile
import time
from dataclasses import dataclass
from statistics import median

import keras
import numpy as np
import tensorflow as tf

from . import augment, pipeline, provenance, training
from .datasets import load_splits
from .models import count_flops

MATMUL_SIDE = 2048
WARMUP_STEPS = 5


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
        changes = self.settings.training.model_copy(update={"jit": jit})
        settings = self.settings.model_copy(update={"training": changes})
        model = training.check_model(settings, self.dataset)
        training.compile_model(model, settings, training.steps_per_epoch(settings, self.dataset))
        return model


def benchmark(settings, *, steps=60, rounds=1, progress=None):
    """Measure training speed.

    Args:
        settings: `Settings`.
        steps: training steps per measurement.
        rounds: how often everything is measured; medians are returned.
        progress: called with (done, total) measurements.

    Returns:
        A JSON-able dict: rates in examples/s and GFLOP/s, and the ratios between them.
    """
    dataset = load_splits(settings.data)
    bench = Bench(training.resolve(settings, dataset), dataset, steps)
    measures = dict(_MEASURES)
    if keras.backend.backend() == "tensorflow":
        measures["step_other_jit"] = _other_jit
    samples = {name: [] for name in measures}
    for done in range(rounds * len(measures)):
        name = list(measures)[done % len(measures)]
        samples[name].append(measures[name](bench))
        if progress:
            progress(done + 1, rounds * len(measures))
    return _report(bench, {name: median(values) for name, values in samples.items()})


def _report(bench, rates):
    model = bench.model(bench.settings.training.jit)
    flops = _training_flops(model)
    step_gflops = rates["step"] * flops / 1e9
    return {
        "dataset": bench.dataset.name,
        "backend": bench.settings.training.backend,
        "jit": bench.settings.training.jit,
        "precision": bench.settings.training.precision,
        "batch_size": bench.batch_size,
        "device": provenance.device(),
        "git_commit": provenance.git_commit(),
        "training_flops_per_example": flops,
        "rates": {name: round(rate, 1) for name, rate in rates.items()},
        "step_gflops": round(step_gflops, 1),
        "ratios": {
            "train_over_step": round(rates["train"] / rates["step"], 3),
            "train_over_plain_keras": round(rates["train"] / rates["plain_keras"], 2),
            "step_over_matmul": round(step_gflops / rates["matmul_gflops"], 3),
            "step_over_backend_matmul": round(step_gflops / rates["backend_matmul_gflops"], 3),
            "pipeline_over_train": round(rates["pipeline"] / rates["train"], 1),
            "rand_augment_over_keras": round(
                rates["rand_augment"] / rates["keras_rand_augment"], 1
            ),
        },
    }


def _training_flops(model):
    """Forward, gradient of the weights, gradient of the inputs; the stem's inputs need none."""
    stem = model.get_layer("stem")
    positions = np.prod(stem.output.shape[1:-1])
    return int(3 * count_flops(model) - 2 * positions * np.prod(stem.kernel.shape))


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
    seconds = [_seconds(multiply) for _ in range(15)]
    return 2 * MATMUL_SIDE**3 / median(seconds) / 1e9


def _seconds(action):
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _step(bench):
    return _step_rate(bench, bench.settings.training.jit)


def _other_jit(bench):
    return _step_rate(bench, not bench.settings.training.jit)


def _step_rate(bench, jit):
    """Examples/s of the bare train step: one resident batch again and again, no callbacks."""
    split = bench.dataset.train
    images = split.images[: bench.batch_size]
    labels = np.eye(bench.classes, dtype=np.float32)[split.labels[: bench.batch_size]]
    batch = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()
    return _fit_rate(bench, bench.model(jit), batch)


def _fit_rate(bench, model, batches):
    options = {"verbose": 0, "shuffle": False}
    model.fit(batches, steps_per_epoch=WARMUP_STEPS, epochs=1, **options)
    seconds = _seconds(lambda: model.fit(batches, steps_per_epoch=bench.steps, epochs=1, **options))
    return bench.steps * bench.batch_size / seconds


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
    short = {"epochs": 2, "early_stopping": None}
    settings = bench.settings.model_copy(
        update={"training": bench.settings.training.model_copy(update=short)}
    )
    clock = _EpochClock()
    with tempfile.TemporaryDirectory() as folder:
        training.train(settings, root=folder, watchers=[clock])
    examples = training.steps_per_epoch(settings, bench.dataset) * bench.batch_size
    return examples / (clock.times[2] - clock.times[1])


def _pipeline(bench):
    """Images/s of the input pipeline alone."""
    stream = pipeline.training_batches(
        bench.dataset.train, bench.classes, bench.batch_size, 0,
        augment=augment.augmentation(bench.settings.augment),
    )  # fmt: skip
    return _stream_rate(bench, stream, 10 * bench.steps)


def _rand_augment(bench):
    """Images/s of RandAugment as the pipeline runs it: whole batches, draws for each image."""
    layer = augment.RandAugment(num_ops=2, magnitude=9)

    def augmented(images):
        return layer.transform(images, tf.random.uniform((bench.batch_size, layer.draws)))

    return _map_rate(bench, augmented, 10 * bench.steps)


def _keras_rand_augment(bench):
    """Images/s of Keras' own layer as its documentation uses it: mapped over the same batches.

    The same number of operations at the same magnitude, 9 of 30. It draws once for a batch.
    """
    layer = keras.layers.RandAugment(value_range=(0, 255), num_ops=2, factor=9 / 30)
    return _map_rate(bench, layer, bench.steps)


def _map_rate(bench, function, count):
    images = tf.data.Dataset.from_tensors(bench.dataset.train.images[: bench.batch_size]).repeat()
    mapped = images.map(function, num_parallel_calls=tf.data.AUTOTUNE)
    return _stream_rate(bench, mapped.prefetch(tf.data.AUTOTUNE), count)


def _stream_rate(bench, stream, count):
    batches = iter(stream)
    for _ in range(WARMUP_STEPS):
        next(batches)
    return count * bench.batch_size / _seconds(lambda: [next(batches) for _ in range(count)])


def _plain_keras(bench):
    """Examples/s of what one writes first: defaults, and augmentation mapped over single images."""
    split, size = bench.dataset.train, bench.dataset.image_shape[:2]

    def crop(image, label):
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image), tf.zeros((1, 0, 4)), area_range=(0.9, 1.0),
            aspect_ratio_range=(3 / 4, 4 / 3), use_image_if_no_bounding_boxes=True,
        )  # fmt: skip
        image = tf.image.resize(tf.slice(image, begin, extent), size)
        image = tf.ensure_shape(image, bench.dataset.image_shape)
        return tf.cast(image, tf.uint8), tf.one_hot(label, bench.classes)

    batches = tf.data.Dataset.from_tensor_slices((split.images, split.labels)).shuffle(10_000)
    batches = batches.repeat().map(crop).batch(bench.batch_size, drop_remainder=True)
    model = training.check_model(bench.settings, bench.dataset)
    model.compile(optimizer="adam", loss=keras.losses.CategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])  # fmt: skip
    return _fit_rate(bench, model, batches.prefetch(tf.data.AUTOTUNE))


_MEASURES = {
    "matmul_gflops": _matmul,
    "backend_matmul_gflops": _backend_matmul,
    "pipeline": _pipeline,
    "rand_augment": _rand_augment,
    "keras_rand_augment": _keras_rand_augment,
    "step": _step,
    "train": _train,
    "plain_keras": _plain_keras,
}
