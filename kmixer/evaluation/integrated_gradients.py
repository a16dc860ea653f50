"""Integrated gradients: how much each part of an image adds to a logit, seen from a black image.

Sundararajan et al., arXiv 1703.01365, equation 3. The libraries that have them (captum, alibi) know
one backend each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..models.input_and_head import seen_images
from ..models.token_areas import TokenAreas
from .explanation import Evidence, Look, as_image

STEPS, MOST_STEPS = 32, 256  # on the way from the black image; doubled while too inexact
TOLERANCE = 0.01  # of the logits' difference; the paper's section 5: hold the parts' sum against it
MOST_VALUES = 5_000_000  # of the images whose gradients are computed at once
SQUARES = 16  # along an image's longer side, at most: single pixels' parts are noise to the eye

Gradients = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class GradientEvidence:
    """Evidence whose parts are integrated gradients from a black image; see `Evidence`.

    Attributes:
        seen: see `Evidence`.
        logits: see `Evidence`.
        black_logits: of the black image.
        areas: small squares.
        image: float32, normalized.
        black: the same of the black image.
        gradients: of a class's logit, at each of several images.
        most_steps: on the way from the black image.
    """

    seen: np.ndarray
    logits: np.ndarray
    black_logits: np.ndarray
    areas: TokenAreas
    image: np.ndarray
    black: np.ndarray
    gradients: Gradients
    most_steps: int
    method: str = "integrated gradients from black"

    def split(self, label: int) -> tuple[np.ndarray, float]:
        """See `Evidence`; the black image's logit has no place."""
        black_logit, steps = float(self.black_logits[label]), STEPS
        while True:
            parts = self._integrate(label, steps)
            missed = self.logits[label] - black_logit - parts.sum()
            if abs(missed) <= TOLERANCE or steps >= self.most_steps:
                return parts, black_logit
            steps *= 2

    def _integrate(self, label: int, steps: int) -> np.ndarray:
        """Return the parts by Gauss-Legendre quadrature, summed over each square."""
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        shares = ((nodes + 1) / 2).astype(np.float32)[:, None, None, None]
        way, mean = self.image - self.black, np.zeros(self.image.shape)
        # As many for any number of steps: JAX compiles for each.
        together = min(max(MOST_VALUES // self.image.size, 1), STEPS)
        for first in range(0, steps, together):
            some = slice(first, first + together)
            gradients = self.gradients(self.black + shares[some] * way, label)
            mean += np.tensordot(weights[some] / 2, gradients.astype(np.float64), 1)
        parts = (mean * way).sum(axis=-1)
        for axis, ranges in enumerate((self.areas.rows, self.areas.columns)):
            parts = np.add.reduceat(parts, [first for first, _ in ranges], axis)
        return parts


def look_by_gradients(model: keras.Model, most_steps: int = MOST_STEPS) -> Look:
    """Return how a model looks at an image, its logits split by integrated gradients.

    Args:
        model: uint8 images → logits, in float32.
        most_steps: on the way from the black image: 32, or that doubled some times.
    """
    normalized = model.get_layer("normalise").output
    before = keras.Model(model.input, [seen_images(model), normalized])
    after = keras.Model(normalized, model.output)
    gradients = _gradients(after)

    def numpy(values: Any) -> np.ndarray:
        return keras.ops.convert_to_numpy(values)

    def look(image: np.ndarray) -> Evidence:
        pair = np.stack([image, np.zeros_like(image)])
        seen, (x, black) = map(numpy, before(pair))
        logits, black_logits = numpy(after(np.stack([x, black]))).astype(np.float64)
        height, width, _ = x.shape
        areas = squares(height, width)
        return GradientEvidence(
            as_image(seen[0]), logits, black_logits, areas, x, black, gradients, most_steps
        )

    return look


def squares(height: int, width: int) -> TokenAreas:
    """Return equal squares that cover an image, cut off at its lower and right edge."""
    side = -(-max(height, width) // SQUARES)
    rows, columns = (
        tuple((first, min(first + side, pixels)) for first in range(0, pixels, side))
        for pixels in (height, width)
    )
    return TokenAreas(rows, columns, height, width)


def _gradients(model: keras.Model) -> Gradients:
    """Return the gradients of a class's logit by images, at each of several images."""
    of_backend = _BACKENDS[keras.backend.backend()](model)

    def gradients(images: np.ndarray, label: int) -> np.ndarray:
        x = keras.ops.convert_to_tensor(images, "float32")
        return keras.ops.convert_to_numpy(of_backend(x, label))

    return gradients


def _on_tensorflow(model: keras.Model) -> Callable[[Any, int], Any]:
    import tensorflow as tf

    def gradients(images: Any, label: int) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = model(images, training=False)[:, label]
        return tape.gradient(logits, images)

    return gradients


def _on_jax(model: keras.Model) -> Callable[[Any, int], Any]:
    import jax

    weights = [
        [variable.value for variable in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]

    def total(images: Any, label: Any) -> Any:
        return model.stateless_call(*weights, images, training=False)[0][:, label].sum()

    return jax.jit(jax.grad(total))


def _on_torch(model: keras.Model) -> Callable[[Any, int], Any]:
    import torch

    def gradients(images: Any, label: int) -> Any:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            return torch.autograd.grad(model(images, training=False)[:, label].sum(), images)[0]

    return gradients


_BACKENDS = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}
