"""Image files or pixels → class probabilities."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.image_files import raise_if_error, read_images
from ..data.stored_images import Images, StoredImages
from ..errors import DataError

if TYPE_CHECKING:
    import keras

    from ..data.decode import Decoding

BATCH, BATCH_BYTES = 256, 2**28  # files that are decoded and classified together, and their pixels


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for an image file.

    Attributes:
        path: the file.
        probabilities: float `(classes,)`; empty where the file could not be read.
        error: why it could not be read, or None.
        pixels: uint8 `(height, width, channels)`, where they were asked for.
    """

    path: Path
    probabilities: np.ndarray
    error: str | None = None
    pixels: np.ndarray | None = None

    def top(self, class_names: Sequence[str], count: int) -> list[tuple[str, float]]:
        """Return the `count` most probable classes as (name, probability), the best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(class_names[index], float(self.probabilities[index])) for index in order]


def predict_files(
    model: Callable[[np.ndarray], np.ndarray],
    paths: Iterable[Path],
    decoding: Decoding,
    *,
    invert: bool = False,
    strict: bool = False,
    keep_pixels: bool = False,
) -> Iterator[Prediction]:
    """Classify image files; yield one `Prediction` a file, in order.

    Args:
        model: a function of uint8 `(n, height, width, channels)` → probabilities `(n, classes)`.
        paths: the files; at most `BATCH` of them are in memory at once.
        decoding: see `read_images`.
        invert: see `read_images`.
        strict: raise for the first file that cannot be read, instead of yielding its error.
        keep_pixels: let each `Prediction` have its image's pixels.

    Raises:
        DataError: with `strict`, a file cannot be read.
    """
    remaining = iter(paths)
    pixels_each = decoding.height * decoding.width * decoding.channels
    together = max(min(BATCH, BATCH_BYTES // pixels_each), 1)
    while batch := list(islice(remaining, together)):
        images = read_images(batch, decoding, invert)
        if strict:
            images = [raise_if_error(image) for image in images]
        pixels = [image for image in images if not isinstance(image, DataError)]
        probabilities = deque(model(np.stack(pixels)) if pixels else ())
        for path, image in zip(batch, images, strict=True):
            if isinstance(image, DataError):
                yield Prediction(path, np.empty(0), str(image))
            else:
                pixels_kept = image if keep_pixels else None
                yield Prediction(path, probabilities.popleft(), pixels=pixels_kept)


def predict_probabilities(
    model: keras.Model,
    images: Images,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    mirrored: bool = False,
) -> np.ndarray:
    """Run a Keras model of logits over images.

    Args:
        model: uint8 images → logits.
        images: uint8 `(n, height, width, channels)`.
        callbacks: Keras callbacks, such as a progress display.
        mirrored: whether each image's left and right are exchanged.

    Returns:
        float64 `(n, classes)`; each row sums to 1.
    """
    from scipy.special import softmax

    from ..data.batches import ImageBatches, even_batch_size

    batch_size = even_batch_size(len(images))
    if isinstance(images, StoredImages):
        batches = ImageBatches(images, batch_size, mirrored)
        logits = model.predict(batches, verbose=0, callbacks=list(callbacks))
    else:
        inputs = images[:, :, ::-1] if mirrored else images
        logits = model.predict(inputs, batch_size=batch_size, verbose=0, callbacks=list(callbacks))
    return softmax(logits.astype(np.float64), axis=1)
