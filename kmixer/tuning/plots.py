"""Pictures of a search: parallel coordinates, accuracy against cost, importance."""

import json

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

TITLES = {
    "trainable_parameters": "trainable parameters",
    "flops": "FLOPs per image",
    "examples_per_second": "examples/s in training",
}
LONGEST = 24


def parallel(trials, space, objective):
    """Draw each trial as a line over its settings; the best are darkest.

    Args:
        trials: finished `Trial`s, best first.
        space: the `Space`.
        objective: its name.
    """
    from .analysis import NONE, position

    paths = list(dict.fromkeys(each.path for each in space.searched))
    figure = Figure(figsize=(max(7, 1.25 * len(paths) + 2), 5), layout="constrained")
    axes = figure.subplots()
    ranks = np.linspace(1, 0.15, len(trials))
    values = np.array([trial.outcome.value for trial in trials])
    low, spread = values.min(), np.ptp(values) or 1
    for trial, rank in reversed(list(zip(trials, ranks, strict=True))):
        heights = [position(space, path, trial.values) for path in paths]
        heights.append((trial.outcome.value - low) / spread)
        axes.plot(heights, color=colormaps["viridis_r"](rank), alpha=0.9, linewidth=1 + 1.5 * rank)
    for column, path in enumerate(paths):
        for height, label in _labels(space, path, NONE):
            axes.annotate(label, (column, height), fontsize=7, color="#555", xytext=(3, 0),
                          textcoords="offset points", va="center")  # fmt: skip
        axes.axvline(column, color="#ccc", zorder=0)
    axes.axvline(len(paths), color="#ccc", zorder=0)
    for height in (0, 1) if np.ptp(values) else (0,):
        axes.annotate(f"{low + height * spread:.4g}", (len(paths), height), fontsize=8,
                      xytext=(4, 0), textcoords="offset points", va="center")  # fmt: skip
    axes.set_xticks(range(len(paths) + 1), [*map(_two_lines, paths), objective], fontsize=8,
                    rotation=30, ha="right")  # fmt: skip
    axes.set_yticks([])
    axes.set_xlim(-0.2, len(paths) + 0.6)
    axes.set_title(f"{len(trials)} finished trials, the best darkest", fontsize=10)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def _labels(space, path, none):
    """Return (height, text) of what a setting's axis shows."""
    of_path = [each.parameter for each in space.searched if each.path == path]
    labels = [(none, "–")] if any(parameter.when for parameter in of_path) else []
    first = of_path[0]
    if len(of_path) > 1:
        return labels
    if first.listed is not None:
        count = max(len(first.listed) - 1, 1)
        return labels + [(i / count, _short(value)) for i, value in enumerate(first.listed)]
    return [*labels, (0, f"{first.min:g}"), (1, f"{first.max:g}")]


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _two_lines(path):
    return path.replace(".", ".\n", 1)


def costs(trials, names):
    """Draw validation accuracy against each cost, with the trials that nothing beats."""
    from .analysis import pareto

    figure = Figure(figsize=(4.3 * len(names), 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        measured = [trial for trial in trials if trial.outcome.metrics.get(name)]
        points = np.array([_point(trial, name) for trial in measured])
        axes.scatter(*points.T, s=18, color="#9aa5b1", label="trials")
        front = np.array(
            [_point(t, name) for t in pareto(measured, name, name == "examples_per_second")]
        )
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


def _point(trial, name):
    return trial.outcome.metrics[name], 100 * trial.outcome.metrics["val_accuracy"]


def importances(shares):
    """Draw the share of each setting in what the objective depends on."""
    figure = Figure(figsize=(7, max(2, 0.32 * len(shares) + 1)), layout="constrained")
    axes = figure.subplots()
    if not shares:
        axes.text(0.5, 0.5, "importance needs eight finished trials that differ", ha="center")
        axes.set_axis_off()
        return figure
    names = list(shares)[::-1]
    axes.barh(names, [100 * shares[name] for name in names], color="#2a78d6")
    axes.set_xlabel("share of the permutation importance, %")
    axes.grid(alpha=0.3, axis="x")
    return figure
