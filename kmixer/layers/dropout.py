"""Dropout without a random generator."""

import math

import keras
from keras import ops

# MurmurHash3's finaliser and the golden ratio, as 32-bit integers with a sign.
MULTIPLIERS = (0x85EBCA6B - 2**32, 0xC2B2AE35 - 2**32)
GOLDEN = 0x9E3779B9 - 2**32


@keras.saving.register_keras_serializable("kmixer")
class Dropout(keras.layers.Layer):
    """Drop values with a probability, scale up the rest (Srivastava et al., JMLR 15, section 4).

    As Keras' own Dropout, but each value's fate is a hash of its position and the step's seed, with
    multiplications and shifts that XLA fuses into the layers around it: the backends' own
    generators can take as long as the rest of a narrow Mixer (docs/adr/0010). The same seed drops
    the same values under every backend.

    Args:
        rate: share of the values that are dropped, in [0, 1).
        seed: of the draws; default one drawn from `keras.utils.set_random_seed`'s.

    Shape: unchanged.

    Raises:
        ValueError: the rate is not in [0, 1).
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: received {rate}, expected at least 0 and less than 1")
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed) if rate else None
        self.built = True

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        key = ops.cast(self.seed_generator.next(), "int32")
        shape = ops.shape(inputs)
        positions = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), shape)
        words = hash_words(positions, key)
        kept = words >= min(round(self.rate * 2**32), 2**32 - 1) - 2**31
        return ops.where(kept, inputs * (1 / (1 - self.rate)), ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "seed": self.seed}


def hash_words(positions, key):
    """Hash int32 positions under a key of two int32 words; the upper bits are evenly spread."""
    start = _finalised(key[0] + _finalised(key[1] + GOLDEN))
    return _finalised(positions * GOLDEN + start, _finalised(start + GOLDEN))


def _finalised(words, key=0):
    """Return MurmurHash3's finaliser but for its last step, which leaves the upper bits alone."""
    first, second = MULTIPLIERS
    words = (words ^ _shifted(words, 16)) * first
    words = words ^ _shifted(words, 13) ^ key
    return words * second


def _shifted(words, bits):
    """Shift right and fill with zeros, which an int32 does not do by itself."""
    return ops.bitwise_and(ops.bitwise_right_shift(words, bits), 2 ** (32 - bits) - 1)
