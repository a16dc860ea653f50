import numpy as np
import pytest

from kmixer.data import Split
from kmixer.evaluation.evaluate import predict_split
from kmixer.evaluation.predictions import Predictions


@pytest.fixture
def predictions():
    """Four images of three classes; the third is wrong, with 0.3 for the truth."""
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]])
    return Predictions(probabilities, np.array([0, 1, 1, 2]))


def test_accuracy_loss_and_confusion_by_hand(predictions):
    assert predictions.accuracy == 0.75
    assert predictions.loss == pytest.approx(-np.log([0.9, 0.8, 0.3, 1.0]).mean())
    assert predictions.confusion_matrix.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_per_class_by_hand(predictions):
    metrics = predictions.per_class(("a", "b", "c"))
    assert metrics["a"]["precision"] == 0.5 and metrics["a"]["recall"] == 1.0
    assert metrics["b"]["recall"] == 0.5 and metrics["b"]["support"] == 2


def test_balanced_accuracy_and_macro_f1_count_every_class_that_has_images_the_same():
    """Three of four of the first class are right, none of the one image of the second."""
    probabilities = np.eye(3)[[0, 0, 0, 2, 0]]
    predictions = Predictions(probabilities, np.array([0, 0, 0, 0, 1]))
    assert predictions.accuracy == pytest.approx(3 / 5)
    assert predictions.balanced_accuracy == pytest.approx((3 / 4 + 0) / 2)
    f1 = 2 * (3 / 4) * (3 / 4) / (3 / 4 + 3 / 4)  # precision 3 of 4, recall 3 of 4
    assert predictions.macro_f1 == pytest.approx((f1 + 0) / 2)


def test_calibration_error_by_hand(predictions):
    """Every image has a bin of its own: |1−0.9|, |1−0.8|, |0−0.6|, |1−1|, each a quarter."""
    assert predictions.calibration_error == pytest.approx((0.1 + 0.2 + 0.6 + 0.0) / 4)


def test_a_perfectly_calibrated_model_has_no_error():
    probabilities = np.repeat([[0.75, 0.25]], 400, axis=0)
    labels = np.tile([0, 0, 0, 1], 100)
    assert Predictions(probabilities, labels).calibration_error == pytest.approx(0, abs=1e-12)


def test_worst_are_the_wrong_ones_with_least_for_the_truth(predictions):
    assert predictions.worst(5).tolist() == [2]


def test_a_class_that_is_never_predicted_has_zero_precision():
    metrics = Predictions(np.array([[1.0, 0.0]]), np.array([1])).per_class(("a", "b"))
    assert metrics["b"]["precision"] == 0.0


def test_flip_averaging_averages_an_image_and_its_mirror():
    class LeftIsBright:
        """Says class 0 with probability 0.9 where the left pixel is brighter, else 0.3."""

        def predict(self, images, batch_size, verbose, callbacks):
            left = images[:, 0, 0, 0] > images[:, 0, 1, 0]
            first = np.where(left, 0.9, 0.3)
            return np.log(np.stack([first, 1 - first], axis=1))

    split = Split(np.array([200, 0], np.uint8).reshape(1, 1, 2, 1), np.array([0]))
    plain = predict_split(LeftIsBright(), split).probabilities[0, 0]
    averaged = predict_split(LeftIsBright(), split, flip_averaging=True).probabilities[0, 0]
    assert (plain, averaged) == pytest.approx((0.9, 0.6))
