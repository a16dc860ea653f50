"""The pictures: curves, confusion matrix, images in rows."""

import numpy as np
from matplotlib.figure import Figure

from . import atomic

MOST_MISTAKES = 40


def _save(figure, path):
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def save_curves(rows, path, title, smoothed_labels=False):
    """Draw loss, accuracy and learning rate over the epochs.

    Args:
        rows: the history, one dict per epoch.
        path: of the PNG.
        title: one line above the curves.
        smoothed_labels: say beside the training loss that its labels were smoothed; the
            validation loss never is.
    """
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    best = max(rows, key=lambda row: row["val_accuracy"])
    _curve(loss, rows, "loss", "train (smoothed labels)" if smoothed_labels else "train")
    _curve(loss, rows, "val_loss", "validation")
    _curve(accuracy, rows, "accuracy", "train")
    _curve(accuracy, rows, "val_accuracy", "validation")
    accuracy.plot(best["epoch"], best["val_accuracy"], "*", ms=12, color="tab:red", label="best")
    _curve(rate, rows, "learning_rate", None, color="tab:green")
    loss.set_title("Loss")
    accuracy.set_title(f"Accuracy (best validation {best['val_accuracy']:.2%})")
    rate.set_title("Learning rate at the epoch's end")
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("Epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    loss.legend()
    accuracy.legend()
    short = title if len(title) < 110 else title[:107] + "…"
    figure.suptitle(short, fontsize=10, family="monospace", parse_math=False)
    _save(figure, path)


def _curve(axes, rows, key, label, **style):
    marker = "o" if len(rows) < 40 else ""
    epochs = [row["epoch"] for row in rows]
    axes.plot(epochs, [row[key] for row in rows], marker=marker, ms=3, label=label, **style)


def save_confusion_matrix(matrix, class_names, path):
    """Draw a confusion matrix: rows are the truth, colours are shares of a row.

    Args:
        matrix: int `(classes, classes)`.
        class_names: in the order of the rows.
        path: of the PNG.
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
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, matrix[row, column], ha="center", va="center",
                          color=colour, fontsize=8)  # fmt: skip
    ticks = range(classes)
    axes.set_xticks(
        ticks, class_names, rotation=60, ha="right", rotation_mode="anchor", parse_math=False
    )
    axes.set_yticks(ticks, class_names, parse_math=False)
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    axes.set_title(f"{accuracy:.2%} of {matrix.sum():,} images right")
    _save(figure, path)


def save_mistakes(split, predictions, class_names, path):
    """Draw the images whose truth the model found least probable, with both classes."""
    worst = predictions.worst(MOST_MISTAKES)
    titles = [
        f"{class_names[predictions.labels[i]]}\nsaid {class_names[predictions.predicted[i]]}"
        f" {predictions.probabilities[i].max():.0%}"
        for i in worst
    ]
    save_images(split.images[worst], path, titles, columns=8)


def save_images(images, path, titles, columns, row_labels=()):
    """Draw images in a grid.

    Args:
        images: uint8 `(n, height, width, 1 or 3)`.
        path: of the PNG.
        titles: one above each image, or an empty list.
        columns: images per row.
        row_labels: one before each row, or empty.
    """
    rows = max(-(-len(images) // columns), 1)
    height = 1.75 if titles else 1.15
    figure = Figure(figsize=(1.5 * columns, height * rows), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False)
    for axes in cells.flat:
        axes.set_axis_off()
    for index, (image, axes) in enumerate(zip(images, cells.flat, strict=False)):
        grey = image.shape[-1] == 1
        axes.imshow(
            image[..., 0] if grey else image, cmap="gray" if grey else None, vmin=0, vmax=255
        )
        if titles:
            axes.set_title(titles[index], fontsize=7, parse_math=False)
    for axes, label in zip(cells[:, 0], row_labels, strict=False):
        axes.text(-0.1, 0.5, label, ha="right", va="center", transform=axes.transAxes, fontsize=8)
    _save(figure, path)
