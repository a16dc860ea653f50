"""Explanations of answers, by the run whose export is served; needs no Keras."""

from typing import Any

import anyio
import numpy as np
from starlette.exceptions import HTTPException

from ..errors import RunError
from ..evaluation.explanation import Explanation, Look, explain, look_without_keras
from ..evaluation.heat_maps import as_png, largest_part
from ..exporting.artifact import Artifact
from ..exporting.origin import run_beside
from ..files.text import data_address

MOST_WAITING = 32  # requests; an explanation takes some milliseconds


class Explainer:
    """Explains the served model's answers by the logits of its run, one image at a time.

    An export gives probabilities alone. The tokens that they come from are computed in NumPy, in
    float32, from the run's weights.

    Args:
        artifact: the export.

    Attributes:
        missing: why it can explain nothing, in one line; None: it can.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._names, self._look, self.missing = artifact.class_names, *_look_at(artifact)
        self._limiter: anyio.CapacityLimiter | None = None

    async def explain(self, image: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
        """Explain the two most probable classes of an answer, as JSON has it.

        Args:
            image: uint8 `(height, width, channels)`.
            probabilities: the answer, `(classes,)`.

        Raises:
            HTTPException: 503, too many wait.
        """
        if self._limiter is None:  # it belongs to the event loop that first calls this
            self._limiter = anyio.CapacityLimiter(1)  # the model in NumPy takes one thread
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            reason = f"{MOST_WAITING} explanations wait already; try again later"
            raise HTTPException(503, reason, {"Retry-After": "1"})
        return await anyio.to_thread.run_sync(
            self._explain, image, probabilities, limiter=self._limiter
        )

    def check(self) -> None:
        """Refuse where nothing can be explained.

        Raises:
            HTTPException: 400, with the reason.
        """
        if self.missing:
            raise HTTPException(400, f"explain: {self.missing}")

    def _explain(self, image: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
        assert self._look
        first, second = (int(label) for label in np.argsort(-probabilities, kind="stable")[:2])
        return _as_json(explain(self._look(image), self._names, first, second))


def _look_at(artifact: Artifact) -> tuple[Look | None, str | None]:
    """Return how the run's model looks at an image, or why none can be asked.

    The reason is for clients and so names no folder of this machine.
    """
    try:
        look = look_without_keras(run_beside(artifact))
    except RunError:
        return None, "needs the run's weights, and the export that is served lies beside no run"
    if look is None:
        return None, (
            "a model of this kind needs Keras for it, which the server does without; use: kmixer"
            " predict RUN IMAGE --explain"
        )
    return look, None


def _as_json(explanation: Explanation) -> dict[str, Any]:
    chosen, other = explanation.chosen, explanation.other
    heats = {"chosen": chosen.heat, "other": other.heat, "difference": explanation.difference}
    largest = largest_part(*heats.values())
    maps = {name: data_address("image/png", as_png(heat, largest)) for name, heat in heats.items()}
    return explanation.as_json() | {"maps": maps}
