"""Heat maps over images: blue speaks for a class, red against it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .explanation import Explanation

FOR, AGAINST = (20, 105, 255), (235, 65, 20)
DENSEST = 0.85  # how much the largest part covers the image
GRAY, CONTRAST = 0.3, 0.4  # the image below it: never so dark or light that a color is lost
LEVELS = 16  # of a color, in a PNG: so few make it small
LEAST = 1e-12  # of a map of nothing but zeros


def largest_part(*heats: np.ndarray) -> float:
    """Return the number that gets the full color, in maps that are to be compared."""
    return max(float(np.abs(heat).max()) for heat in heats) or LEAST


def colored(heat: np.ndarray, largest: float) -> np.ndarray:
    """Return a map's colors, uint8 `(height, width, 4)`; zero is transparent.

    Args:
        heat: `(height, width)`.
        largest: see `largest_part`.
    """
    share = np.clip(heat / largest, -1, 1)
    colors = np.where(share[..., None] > 0, FOR, AGAINST)
    opacity = np.abs(share)[..., None] * DENSEST * 255
    return np.concatenate([colors, opacity], axis=-1).round().astype(np.uint8)


def as_png(heat: np.ndarray, largest: float, most_pixels: int | None = None) -> bytes:
    """Return a map as a PNG that is laid over its image.

    Args:
        heat: `(height, width)`.
        largest: see `largest_part`.
        most_pixels: of the longer side; a larger map is averaged.
    """
    from PIL import Image

    picture = Image.fromarray(heat.astype(np.float32))
    if most_pixels and max(picture.size) > most_pixels:
        scale = most_pixels / max(picture.size)
        sides = [max(round(side * scale), 1) for side in picture.size]
        picture = picture.resize((sides[0], sides[1]), Image.Resampling.BOX)
    levels = np.rint(np.clip(np.asarray(picture) / largest, -1, 1) * LEVELS) + LEVELS
    indexed = Image.fromarray(levels.astype(np.uint8), "P")
    indexed.putpalette(_ramp(2 * LEVELS + 1).tobytes(), "RGBA")
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _ramp(count: int) -> np.ndarray:
    """Return colors from all against to all for, uint8 `(count, 4)`."""
    return colored(np.linspace(-1, 1, count)[None], 1.0)[0]


def draw_explanation(explanation: Explanation) -> Figure:
    """Draw the image, the maps of both classes over it, and their difference."""
    from matplotlib.figure import Figure

    from ..files.text import percent
    from .fonts import drawable

    chosen, other = explanation.chosen, explanation.other
    first, second = drawable([chosen.name, other.name], counted="the explained class first")
    maps = {
        f"{percent(chosen.probability, 0)}: {first}": chosen.heat,
        f"{percent(other.probability, 0)}: {second}": other.heat,
        f"why {first}\nand not {second}": explanation.difference,
    }
    largest = largest_part(*maps.values())
    height, width = explanation.seen.shape[:2]
    shape = min(max(height / width, 0.3), 3)
    figure = Figure(figsize=(12, 0.7 + 2.7 * shape), layout="constrained")
    cells = figure.subplots(1, 4)
    _show(cells[0], explanation.seen, "what the model saw")
    for axes, (title, heat) in zip(cells[1:], maps.items(), strict=True):
        _show(axes, _faded(explanation.seen), title)
        axes.imshow(colored(heat, largest), interpolation="nearest")
    _add_legend(figure, list(cells), largest)
    return figure


def save_drawn(figure: Figure, path: Path) -> None:
    """Write a drawn explanation; see `figures.save`."""
    from . import figures

    figures.save(figure, path)


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    gray = image.shape[-1] == 1
    axes.imshow(image[..., 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255)
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.set_axis_off()


def _faded(image: np.ndarray) -> np.ndarray:
    """Return an image in gray of little contrast, uint8 `(height, width, 1)`."""
    gray = image.mean(axis=-1, keepdims=True)
    return (255 * GRAY + CONTRAST * gray).astype(np.uint8)


def _add_legend(figure: Figure, cells: list[Axes], largest: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    ramp = _ramp(255) / 255
    opacity, middle = ramp[:, 3:], GRAY + CONTRAST / 2
    colors = ListedColormap(ramp[:, :3] * opacity + middle * (1 - opacity))
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), colors), ax=cells, fraction=0.02)
    bar.set_ticks([-1, 0, 1], labels=["against", "0", "for"])
