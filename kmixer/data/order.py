"""The order of an epoch's images and their random numbers: a pure function of (seed, epoch).

NumPy's counter-based Philox generator makes the same numbers under every backend, so a training can
restart at any epoch, under any backend, and see the same images.
"""

import numpy as np


def epoch_plan(seed: int, epoch: int, size: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Plan one epoch.

    Args:
        seed: the run's seed.
        epoch: counted from 0.
        size: number of training images.
        draws: number of uniform random numbers that the augmentation needs per image.

    Returns:
        order: int32 `(size,)`, a permutation of the image indices.
        uniforms: float32 `(size, draws)` in [0, 1); row `i` belongs to the image at position `i`
            of the order. The order does not depend on `draws`.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch))))
    order = generator.permutation(size).astype(np.int32)
    return order, generator.random((size, draws), dtype=np.float32)
