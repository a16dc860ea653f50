"""What a training says: a few lines at its start, and one an epoch."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from ...files.printable import printable
from ...runs.conditions import devices, libraries

if TYPE_CHECKING:
    from ...data import Dataset
    from ...runs.run import Run
    from ..checkpoint_state import Position

    Logs = dict[str, Any] | None


def start_lines(run: Run, dataset: Dataset, model: keras.Model, position: Position) -> list[str]:
    """Return data, model, backend and run folder as lines.

    Args:
        run: the `Run`.
        dataset: its `Dataset`, with its notes.
        model: the classifier.
        position: the `Position` that the training continues from.
    """
    training = run.settings.training
    sizes = " / ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    shape = "×".join(str(side) for side in dataset.image_shape)
    jit = "jit" if training.jit else "no jit"
    resumed = f"resumed  in epoch {position.epoch + 1}, after {position.step} steps of it"
    return [
        f"data     {dataset.name}: {sizes}, {shape}, {len(dataset.class_names)} classes",
        *_indented(dataset.notes),
        *_aligned("chosen", run.info.get("choices", [])),
        f"model    {model.name}: {model.count_params():,} parameters",
        f"backend  {libraries(run.info, str(training.backend))}, {training.precision}, {jit},"
        f" {devices(run.info)}",
        f"run      {run.folder}",
        *_indented(position.notes),
        *([resumed] if position.step or position.epoch else []),
    ]


def _aligned(word: str, lines: Sequence[str]) -> list[str]:
    """Return lines after a word that stands before the first of them."""
    return [f"{word if not index else '':<9}{line}" for index, line in enumerate(lines)]


def _indented(notes: Iterable[str]) -> list[str]:
    return [f"         {note}" for note in notes]


def epoch_lines(run: Run, epochs: int) -> list[str]:
    """Return the newest epoch of a run as a line; where kmixer chose how many, once the time left.

    Args:
        run: the `Run`.
        epochs: of the whole training.
    """
    rows = run.history
    chosen = any(line.startswith("training.epochs") for line in run.info.get("choices", ()))
    lines = [epoch_line(rows[-1], epochs)]
    if chosen and len(rows) == 2 < epochs:  # the first epoch compiles
        seconds = rows[-1]["seconds"] * (epochs - 2)
        lines.append(f"left     about {max(round(seconds / 60), 1)} min for {epochs - 2} epochs")
    return lines


def epoch_line(row: Mapping[str, float], epochs: int) -> str:
    """Return an epoch of a history as a line.

    Args:
        row: of the history.
        epochs: of the whole training.
    """
    test = f"  test_accuracy {_percent(row['test_accuracy'])}" if "test_accuracy" in row else ""
    return (
        f"epoch {row['epoch']:>{len(str(epochs))}.0f}/{epochs}"
        f"  loss {row['loss']:.4f}  accuracy {_percent(row['accuracy'])}"
        f"  val_loss {row['val_loss']:.4f}  val_accuracy {_percent(row['val_accuracy'])}{test}"
        f"  lr {row['learning_rate']:.2e}  {row['seconds']:.1f} s"
        f"  {row['examples_per_second']:,.0f} examples/s"
    )


def result_line(run: Run) -> str:
    """Return a finished run's accuracies as a line."""
    best = run.metrics["best"]
    parts = [f"{name} {_percent(part['accuracy'])}" for name, part in best.items() if part]
    line = f"best epoch ({run.metrics['best_epoch']}): accuracy {', '.join(parts)}"
    return "\n".join([line, *best_on_test_lines(run.metrics)])


def best_on_test_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return a line on the epoch that is best on the test images, where each was measured.

    Args:
        metrics: of a finished run.
    """
    best = metrics.get("best_on_test")
    if not best:
        return []
    figure = f"epoch {best['epoch']}, {_percent(best['accuracy'])}"
    return [f"best on the test images: {figure} (chosen on them, as reports do: no estimate)"]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


class PrintTraining(keras.callbacks.Callback):
    """Print a training as plain lines, which a notebook and a log file show alike.

    Args:
        run: the `Run`.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def show_start(self, dataset: Dataset, model: keras.Model, position: Position) -> None:
        """Print what is trained; see `start_lines`."""
        for line in start_lines(self.run, dataset, model, position):
            _print(line)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        for line in epoch_lines(self.run, self.params["epochs"]):
            _print(line)

    def show_result(self) -> None:
        """Print the finished run's accuracies."""
        _print(result_line(self.run))


def _print(line: str) -> None:
    """Print a line; a character that the encoding of stdout lacks becomes a question mark."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(printable(line).encode(encoding, "replace").decode(encoding), flush=True)
