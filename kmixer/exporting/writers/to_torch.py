"""Write a Keras model on PyTorch as an exported program that needs only PyTorch."""

from pathlib import Path

import keras
import numpy as np
import torch

from ...runs.run import Run


class _Probabilities(torch.nn.Module):
    """uint8 images → probabilities."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.model(images, training=False), dim=-1)


def write(
    model: keras.Model, run: Run, folder: Path, quantize: str, representative: np.ndarray | None
) -> None:
    """Write `model.pt2`: images of the size trained on, in batches of any size.

    Args:
        model: see `saved_model.write`.
        run: see `saved_model.write`.
        folder: see `saved_model.write`.
        quantize: `"none"`.
        representative: not used.
    """
    images = torch.zeros((2, *run.info["input_shape"]), dtype=torch.uint8)
    batch = {"images": {0: torch.export.Dim("batch")}}
    with torch.no_grad():
        program = torch.export.export(_Probabilities(model).eval(), (images,), dynamic_shapes=batch)
    torch.export.save(program, folder / "model.pt2")
