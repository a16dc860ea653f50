"""The same models in plain PyTorch, as one writes them: what a user would pick instead.

Strided convolutions, GELU by tanh as the paper has it, AdamW, no callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from shutil import which
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from ..config.model import MixerSettings, ShiftMlpSettings
from .benchmark_rates import WARMUP_STEPS, run_seconds

if TYPE_CHECKING:
    from .benchmark import Bench, Measures

Models = dict[type, Callable[..., nn.Module]]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class MixerLayer(nn.Module):
    """Token mixing and channel mixing (arXiv 2105.01601, section 2)."""

    def __init__(self, tokens: int, dim: int, tokens_mlp_dim: int, channels_mlp_dim: int,
                 dropout: float) -> None:  # fmt: skip
        super().__init__()
        self.token_norm, self.channel_norm = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.token_mixing = mlp(tokens, tokens_mlp_dim, dropout)
        self.channel_mixing = mlp(dim, channels_mlp_dim, dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (batch, tokens, dim)
        x = x + self.token_mixing(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mixing(self.channel_norm(x))


def mlp(dim: int, mlp_dim: int, dropout: float) -> nn.Module:
    """Return two linear layers with a GELU between them."""
    return nn.Sequential(
        nn.Linear(dim, mlp_dim), nn.GELU("tanh"), nn.Dropout(dropout), nn.Linear(mlp_dim, dim)
    )


class Mixer(nn.Module):
    """The MLP-Mixer, images `(batch, channels, height, width)` → logits."""

    def __init__(self, model: MixerSettings, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        size, dim = int(model.patch_size or 0), model.hidden_dim
        stride = model.patch_stride or size
        tokens = ((shape[0] - size) // stride + 1) * ((shape[1] - size) // stride + 1)
        self.stem = nn.Conv2d(shape[2], dim, size, stride)
        self.blocks = nn.Sequential(*(
            MixerLayer(tokens, dim, width(model.tokens_mlp_dim, index),
                       width(model.channels_mlp_dim, index), model.dropout)
            for index in range(model.blocks)
        ))  # fmt: skip
        self.norm, self.head = nn.LayerNorm(dim, 1e-6), nn.Linear(dim, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images).flatten(2).transpose(1, 2)  # (batch, tokens, dim)
        return self.head(self.norm(self.blocks(x)).mean(1))


def width(widths: int | Sequence[int], block: int) -> int:
    """Return the width of a block."""
    return widths if isinstance(widths, int) else widths[block]


class ShiftLayer(nn.Module):
    """LayerNorm, linear, GELU, shifts by one token in nine directions, linear."""

    def __init__(self, dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.norm, self.activation = nn.LayerNorm(dim, 1e-6), nn.GELU("tanh")
        self.hidden, self.project = nn.Linear(dim, mlp_dim), nn.Linear(mlp_dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (batch, rows, columns, dim)
        y = self.activation(self.hidden(self.norm(x)))
        rows, columns = y.shape[1:3]
        groups = functional.pad(y, (0, 0, 1, 1, 1, 1)).tensor_split(9, dim=-1)
        moved = [
            group[:, index // 3 : index // 3 + rows, index % 3 : index % 3 + columns]
            for index, group in enumerate(groups)
        ]
        return x + self.project(torch.cat(moved, dim=-1))


class ShiftMlp(nn.Module):
    """The spatial-shift MLP in stages, images `(batch, channels, height, width)` → logits."""

    def __init__(self, model: ShiftMlpSettings, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        channels, self.stems, self.stages = shape[2], nn.ModuleList(), nn.ModuleList()
        for stage in model.stages:
            size = int(stage.patch_size or 0)
            self.stems.append(nn.Conv2d(channels, stage.dim, size, stage.patch_stride or size))
            self.stages.append(
                nn.Sequential(*(ShiftLayer(stage.dim, stage.mlp_dim) for _ in range(stage.blocks)))
            )
            channels = stage.dim
        self.norm, self.head = nn.LayerNorm(channels, 1e-6), nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stem, stage in zip(self.stems, self.stages, strict=True):
            x = stage(stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(self.norm(x.permute(0, 2, 3, 1)).mean((1, 2)))


MODELS: Models = {MixerSettings: Mixer, ShiftMlpSettings: ShiftMlp}


def is_plain(model: Any) -> bool:
    """Return whether a model of these settings is one of `MODELS`."""
    if isinstance(model, MixerSettings):
        return (
            model.skip_connections and model.norm_position == "pre" and model.stem_norm == "none"
            and model.block_dims is None and model.pre_head_layer_norm
            and model.patch_border == "refuse"
        )  # fmt: skip
    return isinstance(model, ShiftMlpSettings)


def train_step(bench: Bench, precision: str, compiles: bool) -> Callable[[], None]:
    """Return a function that trains one batch, the same again and again.

    Args:
        bench: what is measured.
        precision: `float32` or `bfloat16`; the latter by autocast.
        compiles: whether with `torch.compile`.
    """
    model, images, labels = _prepared(bench)
    forward = torch.compile(model) if compiles else model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = functional.cross_entropy(forward(images()), labels)
        loss.backward()
        optimizer.step()

    return step


def _prepared(bench: Bench) -> tuple[nn.Module, Callable[[], torch.Tensor], torch.Tensor]:
    """Return the model, a function that returns the normalized images of a batch, and labels."""
    data, split = bench.settings.data, bench.dataset.train
    pixels = torch.tensor(split.images[: bench.batch_size], device=DEVICE).permute(0, 3, 1, 2)
    labels = torch.tensor(split.labels[: bench.batch_size], dtype=torch.int64, device=DEVICE)
    mean, std = (
        torch.tensor(values, device=DEVICE).view(1, -1, 1, 1) for values in (data.mean, data.std)
    )

    def images() -> torch.Tensor:
        x = (pixels.float() / 255 - mean) / std
        if data.resize_size:
            x = functional.interpolate(x, data.resize_size, mode="bilinear")
        if crop := data.crop_size:
            top, left = ((side - crop) // 2 for side in x.shape[2:])
            x = x[:, :, top : top + crop, left : left + crop]
        return x

    channels, *sides = images().shape[1:]
    settings = bench.settings.model
    model = MODELS[type(settings)](settings, (*sides, channels), bench.classes)
    return model.to(DEVICE), images, labels


def _rate(precision: str, compiles: bool, bench: Bench) -> float:
    step = train_step(bench, precision, compiles)

    def train(steps: int) -> None:
        for _ in range(steps):
            step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    train(WARMUP_STEPS)
    return bench.steps * bench.batch_size / run_seconds(lambda: train(bench.steps))


def measures(model: Any) -> Measures:
    """Return what can be measured of the settings' model, by name: `Bench` → examples/s."""
    if not is_plain(model):
        return {}
    found = {
        "plain_torch": partial(_rate, "float32", False),
        "plain_torch_bfloat16": partial(_rate, "bfloat16", False),
    }
    if which("g++"):
        found["plain_torch_compiled"] = partial(_rate, "bfloat16", True)
    return found
