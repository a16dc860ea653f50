import numpy as np
import pytest

from kmixer.data import Split
from kmixer.evaluation import figures
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


def test_bins_of_a_reliability_diagram_by_hand():
    """Three images of 0.95, two of them right, and one of 0.5 that is wrong."""
    probabilities = np.array([[0.95, 0.05]] * 3 + [[0.5, 0.5]])
    bins = Predictions(probabilities, np.array([0, 0, 1, 1])).calibration
    filled = np.flatnonzero(bins.images)
    assert filled.tolist() == [7, 14] and bins.images[filled].tolist() == [1, 3]  # of 15
    assert bins.confidence[filled] == pytest.approx([0.5, 0.95])
    assert bins.accuracy[filled] == pytest.approx([0, 2 / 3])
    figure = figures.reliability(bins)
    assert figure.axes[0].get_title() == "Calibration error 33.75 %"
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert heights[7] == 0.25 and heights[14] == 0.75


def test_the_interval_of_an_accuracy_is_wilsons():
    """Of 8 right of 10, with z = 1.96: 0.490 to 0.943 (Wilson 1927); of all, it ends at 1."""
    eight = Predictions(np.eye(2)[[0] * 10], np.array([0] * 8 + [1] * 2))
    assert eight.accuracy_interval == pytest.approx((0.490, 0.943), abs=1e-3)
    assert Predictions(np.eye(2)[[0] * 10], np.zeros(10, int)).accuracy_interval[1] == 1


def test_the_first_five_of_six_classes():
    """Of the second image, the true class is the least probable of the six."""
    falling = np.array([0.3, 0.25, 0.2, 0.15, 0.07, 0.03])
    predictions = Predictions(np.stack([falling, falling]), np.array([4, 5]))
    assert predictions.top_5_accuracy == 0.5 and predictions.accuracy == 0
    assert Predictions(np.eye(5), np.arange(5)).top_5_accuracy is None


def test_the_macro_average_is_the_mean_of_the_classes_with_images(predictions):
    rows = predictions.per_class(("a", "b", "c")).values()
    average = predictions.macro_average()
    for key in ("precision", "recall", "f1"):
        assert average[key] == pytest.approx(np.mean([row[key] for row in rows]))
    assert average["support"] == 4


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
