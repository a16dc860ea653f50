"""Why this class: how much each part of an image speaks for a class and against it.

A class's logit is split over places, in one of two ways (docs/adr/0042):

- `image`: over the image's pixels, by integrated gradients from a black image. What changes the
  logit is lit, wherever it lies; every family has it, and it needs Keras.
- `tokens`: of a model that averages its tokens before the head, over the tokens. Each one's part is
  its product with the class's weights, divided by their number: nothing is estimated, the parts and
  the head's bias are the logit. It says where the head reads; token mixing may have brought what is
  read from another place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from ..errors import SettingsError, nearest
from ..models.token_areas import TokenAreas, token_areas
from ..runs.numpy_model import numpy_model

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from ..runs.run import Run

By = Literal["image", "tokens"]


class Evidence(Protocol):
    """What a model makes of one image."""

    @property
    def seen(self) -> np.ndarray:
        """The image as the model saw it, resized and cropped: uint8 `(height, width, channels)`."""
        ...

    @property
    def logits(self) -> np.ndarray:
        """Float64 `(classes,)`."""
        ...

    @property
    def areas(self) -> TokenAreas:
        """Which pixels of `seen` belong to each place."""
        ...

    @property
    def method(self) -> str:
        """How the logits are split, in words."""
        ...

    def split(self, label: int) -> tuple[np.ndarray, float]:
        """Return a class's parts `(rows, columns)`, and what of its logit has no place."""
        ...


@dataclass(frozen=True)
class ClassMap:
    """A class's logit, split over the places of an image.

    Attributes:
        name: of the class.
        probability: that the model gives it, 0..1.
        logit: the sum of `parts` and `constant`; see `missed`.
        constant: what of the logit has no place: the head's bias, or a black image's logit.
        parts: float64 `(rows, columns)`: what each token, or square of pixels, adds to the logit.
        heat: float64 `(height, width)`: the parts, spread evenly over the pixels of each.
    """

    name: str
    probability: float
    logit: float
    constant: float
    parts: np.ndarray
    heat: np.ndarray

    @property
    def missed(self) -> float:
        """What the sum lacks of the logit: rounding alone, or what integration has missed."""
        return self.logit - self.constant - float(self.parts.sum())

    def as_json(self) -> dict[str, Any]:
        """Return all but the heat, as JSON has it."""
        return {
            "class": self.name,
            "probability": self.probability,
            "logit": self.logit,
            "constant": self.constant,
            "parts": self.parts.round(6).tolist(),
        }


@dataclass(frozen=True)
class Explanation:
    """Why a class, and why not another one.

    The difference of the two maps is what decides between them: what all classes have in common,
    which changes no probability, is gone from it.

    Attributes:
        seen: uint8 `(height, width, channels)`, the image as the model saw it.
        method: how the logits are split: `"tokens"` or `"integrated gradients from black"`.
        chosen: the class that is explained.
        other: the class that it is held against.
    """

    seen: np.ndarray
    method: str
    chosen: ClassMap
    other: ClassMap

    @property
    def difference(self) -> np.ndarray:
        """What speaks for the class and against the other one, `(height, width)`."""
        return self.chosen.heat - self.other.heat

    def as_json(self) -> dict[str, Any]:
        """Return method, both classes and their parts, as JSON has them."""
        classes = {"chosen": self.chosen.as_json(), "other": self.other.as_json()}
        return {"method": self.method} | classes

    def save(self, path: str | Path) -> None:
        """Write a picture of both maps and of their difference, such as a PNG.

        Raises:
            KmixerError: the file cannot be written.
        """
        from pathlib import Path

        from .heat_maps import draw_explanation, save_drawn

        save_drawn(draw_explanation(self), Path(path))


@dataclass(frozen=True)
class TokenEvidence:
    """The evidence of a model whose logits are of a mean over tokens; see `Evidence`.

    Attributes:
        seen: see `Evidence`.
        areas: see `Evidence`.
        tokens: `(…, channels)`, row by row: what the mean is taken of.
        kernel: the head's, `(channels, classes)`.
        bias: the head's, `(classes,)`.
    """

    seen: np.ndarray
    areas: TokenAreas
    tokens: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    method: str = "tokens"

    @property
    def logits(self) -> np.ndarray:
        """See `Evidence`."""
        channels = self.tokens.shape[-1]
        mean = self.tokens.reshape(-1, channels).mean(axis=0, dtype=np.float64)
        return mean @ self.kernel.astype(np.float64) + self.bias

    def split(self, label: int) -> tuple[np.ndarray, float]:
        """See `Evidence`."""
        tokens = self.tokens.reshape(*self.areas.grid, -1).astype(np.float64)
        parts = tokens @ self.kernel[:, label] / np.prod(self.areas.grid)
        return parts, float(self.bias[label])


Look = Callable[[np.ndarray], Evidence]  # uint8 (height, width, channels) → what it makes of it


def explain(
    evidence: Evidence,
    class_names: Sequence[str],
    label: int | None = None,
    other: int | None = None,
) -> Explanation:
    """Explain a class by what a model makes of an image.

    Args:
        evidence: of the image.
        class_names: in the order of the logits.
        label: the class; default the most probable one.
        other: the class that it is held against; default the most probable of the others.
    """
    from scipy.special import softmax

    logits = evidence.logits
    order = np.argsort(-logits, kind="stable")
    label = int(order[0]) if label is None else label
    other = next(int(c) for c in order if c != label) if other is None else other
    probabilities = softmax(logits)

    def class_map(index: int) -> ClassMap:
        parts, constant = evidence.split(index)
        heat = evidence.areas.spread(parts)
        numbers = float(probabilities[index]), float(logits[index])
        return ClassMap(class_names[index], *numbers, constant, parts, heat)

    return Explanation(evidence.seen, evidence.method, class_map(label), class_map(other))


def find_class(class_names: Sequence[str], name: str | None) -> int | None:
    """Return a class's index; of None, None.

    Raises:
        SettingsError: no class has that name.
    """
    if name is None or name in class_names:
        return None if name is None else list(class_names).index(name)
    raise SettingsError(
        f"class: received {name!r:.200}, expected one that the run knows"
        f"{nearest(name, class_names)}"
    )


def look_without_keras(run: Run) -> Look | None:
    """Return how a run's model looks at an image by its tokens, computed in NumPy.

    None is returned of a model without them, or one that needs Keras.

    Args:
        run: a finished `Run`, whose files have been checked.

    Raises:
        RunError: its weights cannot be read.
    """
    if (areas := token_areas_of(run)) is None or (model := numpy_model(run.in_float32())) is None:
        return None

    def look(image: np.ndarray) -> Evidence:
        tokens, kernel, bias = model.before_the_mean(image[None])
        return TokenEvidence(image, areas, tokens[0], kernel, bias)

    return look


def look_with_keras(run: Run, by: By = "image") -> Look:
    """Return how a run's model looks at an image, computed by Keras in float32.

    Args:
        run: a finished `Run`.
        by: see `check_by`.

    Raises:
        RunError: its weights cannot be read.
    """
    from .integrated_gradients import look_by_gradients

    model, areas = run.in_float32().load_model(), token_areas_of(run)
    if by == "image" or areas is None:
        return look_by_gradients(model)
    return look_at_tokens(model, areas)


def check_by(run: Run, by: str) -> By:
    """Return the way in which a logit is to be split, if a run's model can be split so.

    Raises:
        SettingsError: there is no such way, or it is `tokens` and the model averages none.
    """
    if by == "image":
        return "image"
    if by != "tokens":
        raise SettingsError(f"by: received {by!r:.100}, expected 'image' or 'tokens'")
    if run.settings.model.patch_stages is None:
        name = run.settings.model.name
        raise SettingsError(f"by: received 'tokens', expected 'image': {name} averages no tokens")
    return "tokens"


def token_areas_of(run: Run) -> TokenAreas | None:
    """Return where a run's tokens lie on what its model sees; None: its logits have no tokens."""
    model, data = run.settings.model, run.settings.data
    if model.patch_stages is None:
        return None
    height, width = run.info["input_shape"][:2]
    side = data.crop_size or data.resize_size
    border = getattr(model, "patch_border", "refuse")
    return token_areas(side or height, side or width, model.patch_stages, border)


def look_at_tokens(model: keras.Model, areas: TokenAreas) -> Look:
    """Return how a model looks at an image by its tokens.

    Args:
        model: uint8 images → logits of a mean over tokens, in float32.
        areas: of the tokens.
    """
    import keras

    from ..models.input_and_head import seen_images

    averaged = model.get_layer("mean_over_tokens").input
    seen_and_tokens = keras.Model(model.input, [seen_images(model), averaged])
    head = model.get_layer("head")
    kernel, bias = (keras.ops.convert_to_numpy(w) for w in (head.kernel, head.bias))

    def look(image: np.ndarray) -> Evidence:
        seen, tokens = (keras.ops.convert_to_numpy(y)[0] for y in seen_and_tokens(image[None]))
        return TokenEvidence(as_image(seen), areas, tokens, kernel, bias)

    return look


def as_image(seen: np.ndarray) -> np.ndarray:
    """Return pixels, perhaps resized ones, as uint8."""
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)
