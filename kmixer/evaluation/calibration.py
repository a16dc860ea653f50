"""Temperature scaling: one number after which a model's probabilities mean what they say.

Guo et al., arXiv 1706.04599, section 4.2. It divides the logits, which changes no image's class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

    from .predictions import Predictions

LEAST, MOST = 0.05, 20.0
HEAD = "head"  # the layer of the logits, dense, in float32


def best_temperature(predictions: Predictions) -> float:
    """Return the temperature after which the cross-entropy is least.

    Args:
        predictions: of images that the model was not trained on.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda logarithm: predictions.scaled(float(np.exp(logarithm))).loss,
        bounds=(np.log(LEAST), np.log(MOST)),
        method="bounded",
    )
    return float(f"{np.exp(found.x):.4g}")


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divide a model's logits by a temperature, in the weights of its head.

    So whatever is made of the model, an export or a fine-tuning, has them too.

    Args:
        model: whose layer `head` is dense.
        temperature: above 0.
    """
    head = model.get_layer(HEAD)
    for variable in (head.kernel, head.bias):
        variable.assign(variable / temperature)
