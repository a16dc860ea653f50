"""Plots of a search: parallel coordinates, accuracy against cost, importance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from .analysis import NOT_SET, pareto, position
from .space.space import Space
from .trials import Trial

TITLES = {
    "trainable_parameters": "trainable parameters",
    "flops": "FLOPs per image",
    "examples_per_second": "examples/s in training",
}
LONGEST = 24  # characters of a value's label


def parallel(trials: Sequence[Trial], space: Space, objective: str) -> Figure:
    """Draw each trial as a line over its settings; the best are darkest.

    Args:
        trials: finished `Trial`s, best first.
        space: the `Space`.
        objective: its name.
    """
    paths = space.paths
    figure = Figure(figsize=(max(7, 1.25 * len(paths) + 2), 5), layout="constrained")
    axes = figure.subplots()
    scores = np.array([trial.score for trial in trials])
    low, spread = scores.min(), np.ptp(scores) or 1
    ranks = np.linspace(1, 0.15, len(trials))
    for trial, rank in reversed(list(zip(trials, ranks, strict=True))):
        heights = [position(space, path, trial.values) for path in paths]
        heights.append((trial.score - low) / spread)
        axes.plot(heights, color=colormaps["viridis_r"](rank), alpha=0.9, linewidth=1 + 1.5 * rank)
    for column, path in enumerate(paths):
        _draw_axis(axes, column, _labels(space, path))
    ends = (0, 1) if np.ptp(scores) else (0,)
    _draw_axis(axes, len(paths), [(end, f"{low + end * spread:.4g}") for end in ends])
    axes.set_xticks(range(len(paths) + 1), [*map(_two_lines, paths), objective], fontsize=8,
                    rotation=30, ha="right")  # fmt: skip
    axes.set_yticks([])
    axes.set_xlim(-0.2, len(paths) + 0.6)
    axes.set_title(f"{len(trials)} finished trials, the best darkest", fontsize=10)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def _draw_axis(axes: Axes, column: int, labels: Sequence[tuple[float, str]]) -> None:
    for height, label in labels:
        axes.annotate(label, (column, height), fontsize=7, color="#555", xytext=(3, 0),
                      textcoords="offset points", va="center")  # fmt: skip
    axes.axvline(column, color="#ccc", zorder=0)


def _labels(space: Space, path: str) -> list[tuple[float, str]]:
    """Return (height, text) of the labels on a setting's axis."""
    parameters = [searched.parameter for searched in space.searched if searched.path == path]
    labels = [(NOT_SET, "–")] if any(parameter.when for parameter in parameters) else []
    first = parameters[0]
    if len(parameters) > 1:
        return labels
    if first.listed is not None:
        count = max(len(first.listed) - 1, 1)
        return labels + [(i / count, _short(value)) for i, value in enumerate(first.listed)]
    return [*labels, (0, f"{first.min:g}"), (1, f"{first.max:g}")]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _two_lines(path: str) -> str:
    return path.replace(".", ".\n", 1)


def costs(trials: Sequence[Trial], names: Sequence[str]) -> Figure:
    """Draw validation accuracy against each cost, with the trials that nothing beats."""
    figure = Figure(figsize=(4.3 * len(names), 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        measured = [trial for trial in trials if trial.metrics.get(name)]
        points = np.array([_point(trial, name) for trial in measured])
        axes.scatter(*points.T, s=18, color="#9aa5b1", label="trials")
        best = pareto(measured, name, more_is_better=name == "examples_per_second")
        front = np.array([_point(trial, name) for trial in best])
        axes.plot(*front.T, marker="o", markersize=5, color="#2a78d6", label="Pareto front")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(EngFormatter(sep=""))
        axes.tick_params(axis="x", which="both", rotation=40, labelsize=8)
        axes.set_xlabel(TITLES[name])
        axes.set_ylabel("validation accuracy %")
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _point(trial: Trial, cost: str) -> tuple[float, float]:
    return trial.metrics[cost], 100 * trial.metrics["val_accuracy"]


def importances(importance: Mapping[str, float]) -> Figure:
    """Draw the importance of each setting, by path, as a bar."""
    figure = Figure(figsize=(7, max(2, 0.32 * len(importance) + 1)), layout="constrained")
    axes = figure.subplots()
    if not importance:
        axes.text(0.5, 0.5, "importance needs eight finished trials that differ", ha="center")
        axes.set_axis_off()
        return figure
    paths = list(importance)[::-1]
    axes.barh(paths, [100 * importance[path] for path in paths], color="#2a78d6")
    axes.set_xlabel("permutation importance, % of the sum")
    axes.grid(alpha=0.3, axis="x")
    return figure
