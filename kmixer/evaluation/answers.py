"""Choose the thresholds of a model's answers on validation images, and measure them on others.

Sets of classes by split conformal prediction: a set holds the class of a new image with the wanted
probability, whatever the model, if the image is drawn as the validation images were (Angelopoulos
and Bates, arXiv 2107.07511, section 1). With a threshold for each class it holds for each of them
(section 4.2, "class-conditional conformal prediction").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..files import atomic
from ..runs.answers import SMALLEST, Answers, MeasuredAnswers, spread
from ..runs.card import run_card
from ..runs.run import CARD_FILE
from .evaluate import predict_splits
from .predictions import Predictions

if TYPE_CHECKING:
    import keras

    from ..data import Dataset
    from ..runs.run import Run
    from .evaluate import Callbacks


def choose_answers(
    validation: Predictions,
    *,
    coverage: float,
    refusals: float,
    smallest: float = SMALLEST,
    test: Predictions | None = None,
) -> Answers:
    """Choose the thresholds of a model's answers.

    Args:
        validation: of images that the model was not trained on.
        coverage: the share of images whose class is to be in its set, 0..1.
        refusals: the share of images of known classes that may be called unknown, 0..1.
        smallest: see `Answers`.
        test: of images to measure the answers on.

    Raises:
        DataError: there are too few validation images for that coverage.
    """
    true = validation.true_probabilities
    per_class = [
        least_of(true[validation.labels == label], 1 - coverage)
        for label in range(validation.probabilities.shape[1])
    ]
    together = least_of(true, 1 - coverage)
    if together is None:
        raise DataError(
            f"a coverage of {coverage:g} needs {needed(1 - coverage):,} validation images, received"
            f" {len(true):,}"
        )
    enough = [least for least in per_class if least is not None]
    is_per_class = len(enough) == len(per_class)
    answers = Answers(
        coverage=coverage,
        per_class=is_per_class,
        least=enough if is_per_class else [together] * len(per_class),
        refusals=refusals,
        least_spread=least_of(spread(validation.probabilities, smallest), refusals) or 0.0,
        smallest=smallest,
    )
    if test is None:
        return answers
    return answers.model_copy(update={"measured": measure_answers(answers, test)})


def least_of(scores: np.ndarray, below: float) -> float | None:
    """Return the score that a new one is below with at most this probability.

    Args:
        scores: `(n,)`, of images drawn as the new one is.
        below: the probability, 0..1.

    Returns:
        The k-th smallest score, where k is the largest whole number up to `below · (n + 1)`; None:
        there are too few for one.
    """
    rank = int(np.floor(below * (len(scores) + 1) + 1e-9))
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank else None


def needed(below: float) -> int:
    """Return how many scores `least_of` needs."""
    return int(np.ceil(1 / max(below, 1e-9) - 1e-6)) - 1


def measure_answers(answers: Answers, predictions: Predictions) -> MeasuredAnswers:
    """Return how often the answers are right.

    Args:
        answers: of the model.
        predictions: of images that neither the model nor the answers were chosen by.
    """
    inside = answers.sets(predictions.probabilities)
    right = inside[np.arange(len(inside)), predictions.labels]
    by_class = [right[predictions.labels == label] for label in range(inside.shape[1])]
    return MeasuredAnswers(
        images=len(right),
        coverage=float(right.mean()),
        class_coverage=[float(of_class.mean()) if len(of_class) else None for of_class in by_class],
        mean_size=float(inside.sum(axis=1).mean()),
        refused=float(1 - answers.knows(predictions.probabilities).mean()),
    )


@dataclass(frozen=True)
class UnknownImages:
    """How images of none of the classes were told from those of the test set.

    Attributes:
        images: their number.
        refused: the share of them that the model does not know, 0..1.
        auroc: the probability that one of them has a lower `spread` than a test image, 0..1.
    """

    images: int
    refused: float
    auroc: float


def measure_unknown(answers: Answers, known: np.ndarray, unknown: np.ndarray) -> UnknownImages:
    """Measure how well a model tells images of none of its classes.

    Args:
        answers: of the model.
        known: probabilities of test images, `(n, classes)`.
        unknown: probabilities of images of other things, `(m, classes)`.
    """
    from sklearn.metrics import roc_auc_score

    spreads = [spread(probabilities, answers.smallest) for probabilities in (known, unknown)]
    is_known = np.repeat([1, 0], [len(known), len(unknown)])
    refused = float(1 - answers.knows(unknown).mean())
    return UnknownImages(
        len(unknown), refused, float(roc_auc_score(is_known, np.concatenate(spreads)))
    )


def choose_for_run(
    run: Run,
    model: keras.Model,
    dataset: Dataset,
    *,
    coverage: float,
    refusals: float,
    callbacks: Callbacks = (),
) -> tuple[Answers, Predictions]:
    """Choose the answers of a finished run anew, and measure them on its test images.

    Args:
        run: a finished run.
        model: its `load_model()`.
        dataset: its own.
        coverage: see `choose_answers`.
        refusals: see `choose_answers`.
        callbacks: Keras callbacks, such as a progress display.

    Returns:
        (the answers, the predictions for the test images).

    Raises:
        DataError: no validation images are left that it was not trained on, or too few.
    """
    if run.settings.data.train_on_validation:
        raise DataError(f"{run.folder}: it was trained on its validation images, too")
    found = predict_splits(model, dataset, ("validation", "test"), callbacks)
    answers = choose_answers(
        found["validation"], coverage=coverage, refusals=refusals, test=found["test"]
    )
    return answers, found["test"]


def write_answers(run: Run, answers: Answers) -> None:
    """Keep a run's answers in its metrics.json and tell them on its card."""
    metrics = run.metrics | {"answers": answers.model_dump()}
    atomic.write_text(run.folder / CARD_FILE, run_card(run, metrics))
    run.write_metrics(metrics)
