"""Image files or pixels → class probabilities."""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ..data.image_files import raise_if_error, read_images
from ..errors import DataError

BATCH = 256  # files that are decoded and answered together


@dataclass(frozen=True)
class Answer:
    """What a model says of an image file.

    Attributes:
        path: the file.
        probabilities: float `(classes,)`, or None where the file could not be read.
        error: why it could not be read, or None.
    """

    path: Path
    probabilities: np.ndarray | None = None
    error: str | None = None

    def top(self, class_names, count):
        """Return the `count` most probable classes as (name, probability), the best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(class_names[index], float(self.probabilities[index])) for index in order]


def answers(model, paths, shape, *, invert=False, strict=False):
    """Ask a model about image files; yield one `Answer` a file, in order.

    Args:
        model: a function of uint8 `(n, height, width, channels)` → probabilities `(n, classes)`.
        paths: the files; so many are never decoded at once that memory would matter.
        shape: see `read_images`.
        invert: see `read_images`.
        strict: raise for the first file that cannot be read, instead of answering with its error.

    Raises:
        DataError: with `strict`, a file cannot be read.
    """
    remaining = iter(paths)
    while batch := list(islice(remaining, BATCH)):
        read = read_images(batch, shape, invert)
        if strict:
            read = [raise_if_error(item) for item in read]
        pixels = [item for item in read if not isinstance(item, DataError)]
        said = deque(model(np.stack(pixels)) if pixels else ())
        for path, item in zip(batch, read, strict=True):
            if not isinstance(item, DataError):
                yield Answer(path, said.popleft())
            else:
                yield Answer(path, error=str(item))


def probabilities(model, images, watchers=()):
    """Run a Keras model of logits over images.

    Args:
        model: uint8 images → logits.
        images: uint8 `(n, height, width, channels)`.
        watchers: Keras callbacks, such as a progress display.

    Returns:
        float64 `(n, classes)`; each row sums to 1.
    """
    from ..data.batches import even_batch_size

    batch_size = even_batch_size(len(images))
    logits = model.predict(images, batch_size=batch_size, verbose=0, callbacks=list(watchers))
    logits = logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
