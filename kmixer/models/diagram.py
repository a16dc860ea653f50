"""A model as a picture: one box for every kind of layer in a row, from images to logits."""

from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..layers import MixerBlock, ShiftBlock

WIDTH, LINE, GAP = 8.0, 0.24, 0.3  # inches


@dataclass
class _Box:
    title: str
    lines: list
    output: str
    parameters: int
    count: int = 1


def diagram(model, title):
    """Draw a model from top to bottom; equal blocks that follow each other are one box.

    Args:
        model: a functional `keras.Model`.
        title: of the picture.

    Returns:
        A matplotlib `Figure`.
    """
    boxes = _boxes(model)
    heights = [LINE * (1 + len(box.lines)) + 0.2 for box in boxes]
    total = sum(heights) + GAP * (len(boxes) - 1) + 0.7
    figure = Figure(figsize=(WIDTH, total))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(total, 0))
    axes.axis("off")
    axes.text(0.3, 0.3, title, fontsize=12, weight="bold", va="center")
    top = 0.6
    for box, height in zip(boxes, heights, strict=True):
        if box is not boxes[0]:
            axes.annotate(
                "", (WIDTH / 2, top), (WIDTH / 2, top - GAP), arrowprops={"arrowstyle": "-|>"}
            )
        _draw(axes, box, top, height)
        top += height + GAP
    return figure


def _draw(axes, box, top, height):
    axes.add_patch(
        FancyBboxPatch(
            (0.3, top), WIDTH - 0.6, height, boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#eef3fb" if box.lines else "#f7f7f7", edgecolor="#456",
        )
    )  # fmt: skip
    middle = top + 0.1 + LINE / 2
    repeated = f" × {box.count}" if box.count > 1 else ""
    axes.text(0.45, middle, box.title + repeated, fontsize=10, weight="bold", va="center")
    weights = f"   {box.count * box.parameters:,} parameters" if box.parameters else ""
    axes.text(WIDTH - 0.45, middle, box.output + weights, fontsize=9, ha="right", va="center")
    for index, line in enumerate(box.lines, 1):
        axes.text(0.6, middle + index * LINE, line, fontsize=9, va="center")


def _boxes(model):
    boxes = []
    for layer in model.layers:
        box = _Box(
            f"{type(layer).__name__} ({_family(layer.name)})",
            _inside(layer),
            "×".join(str(side) for side in layer.output.shape[1:]),
            layer.count_params(),
        )
        if boxes and vars(boxes[-1]) | {"count": 1} == vars(box):
            boxes[-1].count += 1
        else:
            boxes.append(box)
    return boxes


def _family(name):
    """Return a layer's name without its number, so that equal blocks have one name."""
    return name.rstrip("0123456789").rstrip("_")


def _inside(layer):
    """Return the lines that tell what happens inside a block."""
    if isinstance(layer, MixerBlock):
        skip = " → + skip" if layer.skip_connections else ""
        tokens, channels = layer.token_mixing, layer.channel_mixing
        of = layer.input.shape
        return [
            f"over tokens: {_around(layer, _mlp(of[1], tokens))}{skip}",
            f"over channels: {_around(layer, _mlp(of[2], channels))}{skip}",
        ]
    if isinstance(layer, ShiftBlock):
        dim = layer.input.shape[-1]
        return [f"norm → dense {dim} → {layer.mlp_dim} → {layer.activation} → shift"
                f" → dense {layer.mlp_dim} → {dim} → + skip"]  # fmt: skip
    return []


def _mlp(width, mlp):
    return (
        f"dense {width} → {mlp.mlp_dim} → {mlp.activation} → dense {mlp.mlp_dim} → {mlp.output_dim}"
    )


def _around(block, inner):
    """Put the norm where the block has it."""
    before = "norm → " if block.norm_position == "pre" else ""
    return before + inner + (" → norm" if block.norm_position == "post" else "")
