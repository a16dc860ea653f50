"""Keras on PyTorch → an exported program that needs PyTorch alone."""

import torch


class _Probabilities(torch.nn.Module):
    """uint8 images → probabilities."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return torch.softmax(self.model(images, training=False), dim=-1)


def write(model, run, folder, quantize, representative):
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
