"""A model as a picture: one box for every kind of layer in a row, from images to logits."""

from dataclasses import dataclass
from itertools import groupby

import keras
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..layers import Block

WIDTH, LINE, GAP = 8.0, 0.24, 0.3  # inches


@dataclass(frozen=True)
class _Box:
    """What the diagram shows of a layer."""

    title: str
    lines: tuple[str, ...]
    output: str
    parameters: int

    @property
    def height(self) -> float:
        return LINE * (1 + len(self.lines)) + 0.2


def diagram(model: keras.Model, title: str) -> Figure:
    """Draw a model from top to bottom; equal blocks in a row are one box.

    Args:
        model: a functional `keras.Model`.
        title: of the picture.

    Returns:
        A matplotlib `Figure`.
    """
    boxes = [(box, len(list(equal))) for box, equal in groupby(map(_box, model.layers))]
    total = sum(box.height for box, _ in boxes) + GAP * (len(boxes) - 1) + 0.7
    figure = Figure(figsize=(WIDTH, total))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(total, 0))
    axes.axis("off")
    axes.text(0.3, 0.3, title, fontsize=12, weight="bold", va="center")
    top = 0.6
    for index, (box, count) in enumerate(boxes):
        if index > 0:
            axes.annotate(
                "", (WIDTH / 2, top), (WIDTH / 2, top - GAP), arrowprops={"arrowstyle": "-|>"}
            )
        _draw(axes, box, count, top)
        top += box.height + GAP
    return figure


def _draw(axes: Axes, box: _Box, count: int, top: float) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (0.3, top), WIDTH - 0.6, box.height, boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#eef3fb" if box.lines else "#f7f7f7", edgecolor="#456",
        )
    )  # fmt: skip
    middle = top + 0.1 + LINE / 2
    repeated = f" × {count}" if count > 1 else ""
    axes.text(0.45, middle, box.title + repeated, fontsize=10, weight="bold", va="center")
    weights = f"   {count * box.parameters:,} parameters" if box.parameters else ""
    axes.text(WIDTH - 0.45, middle, box.output + weights, fontsize=9, ha="right", va="center")
    for index, line in enumerate(box.lines, 1):
        axes.text(0.6, middle + index * LINE, line, fontsize=9, va="center")


def _box(layer: keras.layers.Layer) -> _Box:
    return _Box(
        f"{type(layer).__name__} ({_name_without_number(layer.name)})",
        tuple(layer.summary()) if isinstance(layer, Block) else (),
        "×".join(str(side) for side in layer.output.shape[1:]),
        layer.count_params(),
    )


def _name_without_number(name: str) -> str:
    """Return `mixer_block` for `mixer_block_3`: equal blocks then have one name."""
    return name.rstrip("0123456789").rstrip("_")
