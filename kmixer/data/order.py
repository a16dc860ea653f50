"""Which images come in which order with which random draws: a pure function of (seed, epoch).

NumPy's counter-based Philox generator makes the same numbers under every backend, so that a
training can start again at any epoch and mean the same thing everywhere.
"""

import numpy as np


def epoch_plan(seed, epoch, size, draws):
    """Plan one epoch.

    Args:
        seed: the run's seed.
        epoch: counted from 0.
        size: number of training images.
        draws: number of uniform draws that the augmentation takes per image.

    Returns:
        order: int32 `(size,)`, a permutation of the image indices.
        uniforms: float32 `(size, draws)` in [0, 1); row `i` belongs to the image at position `i`
            of the order. The order does not depend on `draws`.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch))))
    order = generator.permutation(size).astype(np.int32)
    return order, generator.random((size, draws), dtype=np.float32)
