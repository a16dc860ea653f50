"""Matplotlib figures: curves, confusion matrix, images in a grid, kernels of token mixing."""

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..errors import SettingsError
from ..files import atomic
from ..files.text import data_address, percent
from .fonts import choose_fonts, drawable
from .predictions import Calibration

History = Sequence[Mapping[str, Any]]  # one row per epoch
LINE_STYLES = ("-", "--", ":", "-.")  # each for ten runs of a figure
LEGEND_ROW = 0.2  # inches, of text of nine points
MOST_UNITS = 64  # of a kernel
MOST_FLATTENED = 4  # by the first epochs' values


if os.path.exists("matplotlibrc"):  # of the working folder, which may be anybody's; read already
    matplotlib.rcdefaults()


def save(figure: Figure, path: Path, within: Path | None = None) -> None:
    """Write a figure in the format of the path's suffix, such as `.png`.

    Args:
        figure: the figure.
        path: of the file.
        within: see `atomic.replacing`.

    Raises:
        SettingsError: Matplotlib has no such format.
    """
    formats = figure.canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in formats:
        raise SettingsError(
            f"{path}: received {path.suffix!r}, expected one of {', '.join(formats)}"
        )
    choose_fonts(figure)
    with atomic.replacing(path, within=within) as temporary:
        figure.savefig(temporary, dpi=120)


def as_svg(figure: Figure) -> str:
    """Return a figure as a `data:` address of an SVG picture."""
    choose_fonts(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_address("image/svg+xml", buffer.getvalue())


def curves(rows: History, title: str, soft_labels: str | None = None) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs, beside each other.

    Args:
        rows: the history, one dict per epoch.
        title: one line above the curves.
        soft_labels: `Settings.soft_labels`, added to the label of the training curves: validation
            labels are never soft.
    """
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    for axes, draw in zip(figure.subplots(1, 3), PANELS.values(), strict=True):
        draw(axes, rows, soft_labels)
        _label_epochs(axes)
    short = title if len(title) < 110 else title[:107] + "…"
    figure.suptitle(short, fontsize=10, family="monospace", parse_math=False)
    return figure


def curve_panels(rows: History, soft_labels: str | None = None) -> dict[str, Figure]:
    """Return the three panels of `curves` by name, each as its own figure."""
    figures = {}
    for name, draw in PANELS.items():
        figures[name] = Figure(figsize=(4.4, 3.3), layout="constrained")
        axes = figures[name].subplots()
        draw(axes, rows, soft_labels)
        _label_epochs(axes)
    return figures


def _label_epochs(axes: Axes) -> None:
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.grid(alpha=0.3)


def _draw_loss(axes: Axes, rows: History, soft_labels: str | None) -> None:
    _curve(axes, rows, "loss", _train_label(soft_labels))
    _curve(axes, rows, "val_loss", "validation")
    _test_curve(axes, rows, "test_loss")
    axes.set_title("Loss")
    axes.legend()


def _draw_accuracy(axes: Axes, rows: History, soft_labels: str | None) -> None:
    best = max(rows, key=lambda row: row["val_accuracy"])
    _curve(axes, rows, "accuracy", _train_label(soft_labels))
    _curve(axes, rows, "val_accuracy", "validation")
    _test_curve(axes, rows, "test_accuracy")
    axes.plot(best["epoch"], best["val_accuracy"], "*", ms=12, color="tab:red", label="best")
    axes.set_title(f"Accuracy (best validation {percent(best['val_accuracy'])})")
    axes.legend()


def _test_curve(axes: Axes, rows: History, key: str) -> None:
    """Draw what each epoch measured on the test images, where it did."""
    if key in rows[0]:
        _curve(axes, rows, key, "test, each epoch", linestyle=":", color="tab:gray")


def _train_label(soft_labels: str | None) -> str:
    return f"train ({soft_labels})" if soft_labels else "train"


def _draw_learning_rate(axes: Axes, rows: History, soft_labels: str | None) -> None:
    _curve(axes, rows, "learning_rate", None, color="tab:green")
    axes.set_title("Learning rate at the epoch's end")


PANELS = {"loss": _draw_loss, "accuracy": _draw_accuracy, "learning rate": _draw_learning_rate}


def _curve(axes: Axes, rows: History, key: str, label: str | None, **style: Any) -> None:
    marker = "o" if len(rows) < 40 else ""
    epochs = [row["epoch"] for row in rows]
    axes.plot(epochs, [row[key] for row in rows], marker=marker, ms=3, label=label, **style)


def overlaid(histories: Sequence[History], labels: Sequence[str], key: str, title: str) -> Figure:
    """Draw one column of several histories over each other, the legend below them.

    Args:
        histories: of each run.
        labels: one per run.
        key: the column, such as `"val_accuracy"`.
        title: above the curves.
    """
    labels = [f" {label}" for label in labels]  # matplotlib leaves out what begins with "_"
    columns = 2 if max(map(len, labels)) < 34 and len(labels) > 4 else 1
    below = LEGEND_ROW * (len(labels) // columns + 1)
    height = 4.2 + below
    figure = Figure(figsize=(6.2, height))  # places are known: a layout engine takes a third
    axes = figure.subplots()  # of the drawing's time
    figure.subplots_adjust(0.1, (below + 0.6) / height, 0.97, 1 - 0.35 / height)
    for index, (rows, label) in enumerate(zip(histories, labels, strict=True)):
        style = {
            "color": f"C{index % 10}",
            "linestyle": LINE_STYLES[index // 10 % len(LINE_STYLES)],
        }
        _curve(axes, rows, key, label, **style)
    axes.set_ylim(*_limits(histories, key))
    axes.set_title(title)
    _label_epochs(axes)
    legend = figure.legend(
        axes.lines, labels, loc="lower left", ncols=columns, fontsize=9, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _limits(histories: Sequence[History], key: str) -> tuple[float, float]:
    """Return the y limits: of all values, or without first epochs that would flatten the rest."""
    whole = [row[key] for rows in histories for row in rows]
    later = [row[key] for rows in histories for row in rows[len(rows) // 10 + 1 :] or rows]
    low, high = min(later), max(later)
    if max(whole) - min(whole) <= MOST_FLATTENED * (high - low):
        low, high = min(whole), max(whole)
    margin = 0.05 * (high - low) or 0.01
    return low - margin, high + margin


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw a confusion matrix: rows are true classes, colors are shares of a row.

    Args:
        matrix: int `(classes, classes)`.
        class_names: in the order of the rows.
    """
    classes = len(class_names)
    side = min(max(4.5, 0.62 * classes + 1.8), 40)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= 30:
        for row, column in np.ndindex(matrix.shape):
            if matrix[row, column]:
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(matrix[row, column]), ha="center", va="center",
                          color=color, fontsize=8)  # fmt: skip
    ticks, names = range(classes), drawable(class_names)
    axes.set_xticks(ticks, names, rotation=60, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    axes.set_title(f"{percent(accuracy)} of {matrix.sum():,} images right")
    return figure


def range_test(
    rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float
) -> Figure:
    """Draw the loss over the learning rate, of a training whose rate rose from step to step.

    Args:
        rates: of each step.
        losses: of each step's batch.
        smoothed: their moving average.
        suggestion: a rate to mark.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, ".", ms=3, color="tab:gray", label="a batch")
    axes.plot(rates, smoothed, label="moving average")
    fastest = f"falls fastest: {suggestion:g}"
    axes.axvline(suggestion, linestyle="--", color="tab:red", label=fastest)
    top = max(smoothed[: len(smoothed) // 2 + 1])
    margin = 0.1 * (top - min(smoothed)) or 0.01
    axes.set(xscale="log", ylim=(min(smoothed) - margin, top + 3 * margin))
    axes.set(xlabel="Learning rate", ylabel="Loss", title="Learning-rate range test")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def reliability(calibration: Calibration) -> Figure:
    """Draw a reliability diagram (arXiv 1706.04599): how often which confidence is right.

    Below it, how many images have that confidence.

    Args:
        calibration: of the predictions.
    """
    figure = Figure(figsize=(4.8, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    count = len(calibration.images)
    places, there = (np.arange(count) + 0.5) / count, calibration.images > 0
    above.bar(places[there], calibration.accuracy[there], 0.9 / count, label="share that is right")
    above.plot([0, 1], [0, 1], "--", color="tab:gray", label="as confident as right")
    above.plot(
        calibration.confidence[there], calibration.accuracy[there], "o", ms=3, color="tab:red",
        label="mean of the bin",
    )  # fmt: skip
    gaps = calibration.images * np.abs(calibration.accuracy - calibration.confidence)
    error = gaps.sum() / calibration.images.sum()
    above.set_title(f"Calibration error {percent(error)}")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="Right")
    above.legend(loc="upper left", fontsize=8)
    below.bar(places, calibration.images / calibration.images.sum(), 0.9 / count)
    below.set(xlabel="Probability of the predicted class", ylabel="Images")
    below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    for axes in (above, below):
        axes.grid(alpha=0.3)
    return figure


def token_mixing(kernel: np.ndarray, grid: tuple[int, int], title: str) -> Figure:
    """Draw the weights over the patches of each hidden unit of a token-mixing MLP.

    As Figure 5 of the paper (arXiv 2105.01601); the units with the largest weights come first.

    Args:
        kernel: `(tokens, tokens_mlp_dim)`, the first dense layer's.
        grid: (rows, columns) of patches.
        title: above the picture.
    """
    units = np.asarray(kernel, "float32").T  # (units, tokens)
    size = np.abs(units).max(axis=1)
    strongest = np.argsort(-size, kind="stable")[:MOST_UNITS]
    tiles = (units[strongest] / np.maximum(size[strongest, None], 1e-12)).reshape(-1, *grid)
    columns = min(16, len(tiles))
    rows = -(-len(tiles) // columns)
    board = np.full((rows * (grid[0] + 1) - 1, columns * (grid[1] + 1) - 1), np.nan)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = row * (grid[0] + 1), column * (grid[1] + 1)
        board[top : top + grid[0], left : left + grid[1]] = tile
    width = 9.0
    figure = Figure(figsize=(width, 0.5 + width * board.shape[0] / board.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1 - 0.4 / figure.get_figheight()))
    axes.imshow(board, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    axes.set_axis_off()
    axes.set_title(title, fontsize=11, parse_math=False)
    return figure


def images(
    pictures: Sequence[np.ndarray] | np.ndarray,
    titles: Sequence[str],
    columns: int,
    row_labels: Iterable[str] = (),
) -> Figure:
    """Draw images in a grid.

    Args:
        pictures: uint8 `(n, height, width, 1 or 3)`.
        titles: one above each image, or an empty list.
        columns: images per row.
        row_labels: one before each row, or empty.
    """
    rows = max(-(-len(pictures) // columns), 1)
    height = 1.9 if titles else 1.15
    figure = Figure(figsize=(1.5 * columns, height * rows), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False)
    for axes in cells.flat:
        axes.set_axis_off()
    for index, (image, axes) in enumerate(zip(pictures, cells.flat, strict=False)):
        gray = image.shape[-1] == 1
        axes.imshow(
            image[..., 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255
        )
        if titles:
            axes.set_title(titles[index], fontsize=7, parse_math=False)
    for axes, label in zip(cells[:, 0], row_labels, strict=False):
        axes.text(-0.1, 0.5, label, ha="right", va="center", transform=axes.transAxes, fontsize=8,
                  parse_math=False)  # fmt: skip
    return figure
