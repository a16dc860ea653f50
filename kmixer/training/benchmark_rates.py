"""Rates of what runs again and again."""

from timeit import timeit

WARMUP_STEPS = 5
RAND_AUGMENT_MAGNITUDE = 9  # of 30; ours and Keras' own are measured with the same
QUIET = {"verbose": 0, "shuffle": False}


def fit_rate(model, batches, steps, batch_size):
    """Return the examples/s of `model.fit` over so many batches, after a few."""
    model.fit(batches, steps_per_epoch=WARMUP_STEPS, epochs=1, **QUIET)
    taken = timeit(lambda: model.fit(batches, steps_per_epoch=steps, epochs=1, **QUIET), number=1)
    return steps * batch_size / taken


def stream_rate(stream, steps, batch_size):
    """Return the images/s of so many batches of a stream, after a few."""
    batches = iter(stream)
    for _ in range(WARMUP_STEPS):
        next(batches)
    return steps * batch_size / timeit(lambda: [next(batches) for _ in range(steps)], number=1)
