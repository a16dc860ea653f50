"""Dropout whose draws take no longer than the layers around it."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from .types import Shape, Tensor

# MurmurHash3's finalizer and the golden ratio, as signed 32-bit integers.
MULTIPLIERS = (0x85EBCA6B - 2**32, 0xC2B2AE35 - 2**32)
GOLDEN = 0x9E3779B9 - 2**32


@keras.saving.register_keras_serializable("kmixer")
class Dropout(keras.layers.Layer):
    """Drop values at random and scale up the others (Srivastava et al., JMLR 15, section 4).

    As Keras' own Dropout, but whether a value is dropped depends on a hash of its position and the
    step's seed, computed with multiplications and shifts that XLA fuses into the layers around it:
    the backends' own generators can take as long as the rest of a narrow Mixer (docs/adr/0010).
    Torch, which fuses nothing, draws 64 bits at a time on a processor and compares 16 of them. The
    same seed drops the same values on every machine, and apart from torch on every backend.

    Args:
        rate: share of the values that are dropped, in [0, 1).
        seed: of the random numbers; default one from `keras.utils.set_random_seed`'s generator.

    Shape: unchanged.

    Raises:
        ValueError: the rate is not in [0, 1).

    Example:
        >>> import numpy as np
        >>> y = keras.ops.convert_to_numpy(Dropout(0.5, seed=1)(np.ones((100, 100)), training=True))
        >>> sorted(set(y.ravel().tolist()))
        [0.0, 2.0]
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: received {rate}, expected at least 0 and less than 1")
        self.rate, self.seed = rate, seed
        self.seed_generator: Any = keras.random.SeedGenerator(seed) if rate else None
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training or not self.rate:
            return inputs
        key = self.seed_generator.next()
        if keras.backend.backend() == "torch" and inputs.device.type == "cpu":
            return _drop_on_torch(inputs, self.rate, key)
        key = ops.cast(key, "int32")
        shape = ops.shape(inputs)
        positions = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), shape)
        hashes = hash_positions(positions, key)
        stays = hashes >= min(round(self.rate * 2**32), 2**32 - 1) - 2**31
        return ops.where(stays, inputs * (1 / (1 - self.rate)), ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed}


def _drop_on_torch(inputs: Any, rate: float, key: Any) -> Any:
    """Drop by the numbers of a generator that the key starts anew."""
    import torch

    seed = int(np.random.SeedSequence(key.tolist()).generate_state(1)[0])  # it takes 32 bits
    generator = torch.Generator().manual_seed(seed)
    count = inputs.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(
        -(2**63), None, generator=generator
    )
    draws = words.view(torch.int16)[:count].view(inputs.shape)  # evenly from all of int16
    stays = draws >= min(round(rate * 2**16), 2**16 - 1) - 2**15
    return inputs * stays.to(inputs.dtype).mul_(1 / (1 - rate))


def hash_positions(positions: Tensor, key: Tensor) -> Tensor:
    """Return a hash of each position, evenly distributed over all int32 in its upper bits.

    Args:
        positions: int32, of any shape.
        key: two int32.
    """
    start = _finalize(key[0] + _finalize(key[1] + GOLDEN))
    return _finalize(positions * GOLDEN + start, _finalize(start + GOLDEN))


def _finalize(words: Tensor, key: Tensor = 0) -> Tensor:
    """Apply MurmurHash3's finalizer without its last step, which does not change the upper bits."""
    first, second = MULTIPLIERS
    words = (words ^ _shift_right(words, 16)) * first
    words = words ^ _shift_right(words, 13) ^ key
    return words * second


def _shift_right(words: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros; an int32 by itself would repeat its sign."""
    return ops.bitwise_and(ops.bitwise_right_shift(words, bits), 2 ** (32 - bits) - 1)
