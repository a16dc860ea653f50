"""Measure a finished training and write its metrics, confusion matrix and model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..evaluation.answers import choose_answers, needed
from ..evaluation.calibration import best_temperature, divide_logits
from ..evaluation.evaluate import predict_splits, split_metrics
from ..files import atomic
from ..models import count_flops
from ..runs import provenance
from ..runs.card import run_card
from ..runs.conditions import devices
from ..runs.consistency import content_checksums
from ..runs.example_image import write_example
from ..runs.run import CARD_FILE
from .best_epoch import ENOUGH_FOR_LOSS, best_row

if TYPE_CHECKING:
    from ..data import Dataset
    from ..evaluation.predictions import Predictions
    from ..runs.run import Run
    from .loop import TrainingLoop


def write_results(
    run: Run, model: keras.Model, loop: TrainingLoop, dataset: Dataset, splits: Sequence[str],
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:  # fmt: skip
    """Measure the best and the last epoch's weights; with metrics.json the run is finished.

    The best epoch's logits are divided by the temperature that fits the validation images.

    It is the first and only time that the test set is read, if at all, but where
    `training.test_every_epoch` asks for more.

    Args:
        run: the `Run`.
        model: the classifier after the last epoch.
        loop: the `TrainingLoop` that trained it.
        dataset: the `Dataset`.
        splits: to measure on; the confusion matrix is of the last one.
        callbacks: more Keras callbacks, such as a progress display.
    """
    rows = loop.rows
    row = best_row(rows, run.settings)
    best_model = run.load_model()
    trained = predict_splits(best_model, dataset, splits, callbacks)
    ended = trained if row is rows[-1] else predict_splits(model, dataset, splits, callbacks)
    if temperature := _temperature(run, trained["validation"]):
        divide_logits(best_model, temperature)
        run.save_model(best_model)
        trained = {name: of_split.scaled(temperature) for name, of_split in trained.items()}
    metrics = {
        "dataset": dataset.name,
        "epochs": len(rows),
        "best_epoch": row["epoch"],
        "best": {"train": _train_metrics(row)} | split_metrics(trained),
        "last": {"train": _train_metrics(rows[-1])} | split_metrics(ended),
        "temperature": temperature,
        **_answers(run, trained),
        **_best_on_test(rows),
        **_conditions(run),
        **_speed(rows, loop.first_step),
        **_size(model),
        "content_sha256": content_checksums(run),
    }
    _draw_confusion(run, trained[splits[-1]], dataset)
    write_example(run.folder, np.asarray(dataset.splits[splits[-1]].images[:1])[0])
    atomic.write_text(run.folder / CARD_FILE, run_card(run, metrics))
    run.write_metrics(metrics)


def _draw_confusion(run: Run, predictions: Predictions, dataset: Dataset) -> None:
    from ..evaluation import figures  # imports Matplotlib: not before the first step

    matrix = figures.confusion_matrix(predictions.confusion_matrix, dataset.class_names)
    figures.save(matrix, run.folder / "confusion_matrix.png")


def _conditions(run: Run) -> dict[str, Any]:
    return {
        "backend": run.settings.training.backend,
        "device": devices(run.info),
        "peak_memory_bytes": provenance.peak_memory(),
    }


def _size(model: keras.Model) -> dict[str, Any]:
    return {
        "parameters": model.count_params(),
        "trainable_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "flops": count_flops(model),
    }


def _temperature(run: Run, validation: Predictions) -> float | None:
    """Return the temperature that fits the validation images; None where they cannot tell it."""
    if not run.settings.training.temperature_scaling or not _can_tell(run, validation):
        return None
    return best_temperature(validation)


def _can_tell(run: Run, validation: Predictions) -> bool:
    """Whether the validation images are many enough to choose by, and not trained on."""
    trained_on = run.settings.data.train_on_validation
    return not trained_on and len(validation.labels) >= ENOUGH_FOR_LOSS


def _answers(run: Run, trained: Mapping[str, Predictions]) -> dict[str, Any]:
    """Return the thresholds of the model's answers; nothing where no images can tell them."""
    settings, validation = run.settings.answers, trained["validation"]
    enough = len(validation.labels) >= needed(1 - settings.coverage)
    if not _can_tell(run, validation) or not enough:
        return {}
    answers = choose_answers(
        validation,
        coverage=settings.coverage,
        refusals=settings.refusals,
        test=trained.get("test"),
    )
    return {"answers": answers.model_dump()}


def _best_on_test(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the epoch that is best on the test images, where each epoch measured them."""
    if "test_accuracy" not in rows[-1]:
        return {}
    best = max(rows, key=lambda row: float(row["test_accuracy"]))
    figures = {"loss": best["test_loss"], "accuracy": best["test_accuracy"]}
    return {"best_on_test": {"epoch": best["epoch"]} | figures}


def _speed(rows: Sequence[Mapping[str, Any]], first_step: float | None) -> dict[str, Any]:
    rates = sorted(row["examples_per_second"] for row in rows[1:] or rows)
    return {
        "seconds": round(sum(row["seconds"] for row in rows), 2),
        "seconds_to_first_step": None if first_step is None else round(first_step, 2),
        "examples_per_second": rates[len(rates) // 2],
    }


def _train_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": row["loss"], "accuracy": row["accuracy"]}
