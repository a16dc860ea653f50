"""Sets of classes and "I do not know this": the thresholds by hand, their guarantee, every reader."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import kmixer
from kmixer.errors import DataError
from kmixer.evaluation.answers import (
    choose_answers,
    least_of,
    measure_answers,
    measure_unknown,
    needed,
)
from kmixer.evaluation.predictions import Predictions
from kmixer.runs.answers import SMALLEST_OF_8_BITS, UNKNOWN, Answers, in_words, spread


def drawn(images, classes=4, seed=0):
    """Predictions of a model that is right as often as it says, of classes with other difficulties."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, np.linspace(1, 3, classes), (images, classes))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    return Predictions(softmax(logits, axis=1), labels)


def test_the_threshold_by_hand():
    """Of 19 scores the smallest has a new one below it with 1/20; of 18 none is known to."""
    scores = np.arange(19, 0, -1) / 100
    assert least_of(scores, 0.05) == 0.01
    assert least_of(scores, 0.10) == 0.02
    assert least_of(scores[1:], 0.05) is None
    assert (needed(0.05), needed(0.1), needed(0.01)) == (19, 9, 99)


def test_the_spread_by_hand():
    """Logits of log 4 and log 1: a deviation of half their difference; a probability of 0 is finite."""
    assert spread(np.array([[0.8, 0.2], [0.5, 0.5]])) == pytest.approx([np.log(4) / 2, 0])
    assert np.isfinite(spread(np.array([[1.0, 0.0]]))).all()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c"),
        (["a", "b", "c", "d", "e"], "one of 5: a, b, c, …"),
    ],
)  # fmt: skip
def test_sets_in_words(names, words):
    assert in_words(names) == words


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_sets_hold_the_class_as_often_as_wanted_of_every_class(coverage):
    answers = choose_answers(drawn(40000), coverage=coverage, refusals=0.1)
    measured = measure_answers(answers, drawn(40000, seed=1))
    assert answers.per_class
    assert measured.class_coverage == pytest.approx([coverage] * 4, abs=0.02)
    assert measured.coverage == pytest.approx(coverage, abs=0.015)
    assert measured.refused == pytest.approx(0.1, abs=0.015)


def test_the_guarantee_holds_on_average_over_few_validation_images():
    """At least the wanted share, and at most one image's worth more, over many draws of 30."""
    shares = []
    for seed in range(60):
        answers = choose_answers(drawn(30, seed=seed), coverage=0.9, refusals=0.1)
        assert not answers.per_class  # some class has fewer than 9
        shares.append(measure_answers(answers, drawn(500, seed=1000 + seed)).coverage)
    assert 0.88 < np.mean(shares) < 0.9 + 1 / 31 + 0.02


def test_too_few_images_for_the_coverage_are_refused():
    with pytest.raises(DataError, match=r"coverage of 0\.99 needs 99 .* received 50"):
        choose_answers(drawn(50), coverage=0.99, refusals=0.05)


def test_one_image():
    answers = Answers(
        coverage=0.9, per_class=True, least=[0.5, 0.3, 0.3], refusals=0.05, least_spread=0.5
    )
    names = ("coat", "shirt", "bag")
    assert answers.of(np.array([0.36, 0.35, 0.29]), names)["known"] is False  # hardly spread
    assert answers.of(np.array([0.36, 0.35, 0.29]), names)["says"] == UNKNOWN
    answer = answers.of(np.array([0.6, 0.38, 0.02]), names)
    assert answer == {
        "set": ["coat", "shirt"], "known": True, "coverage": 0.9, "says": "coat or shirt",
    }  # fmt: skip
    # None reaches its threshold: the most probable one is the answer.
    assert answers.of(np.array([0.49, 0.29, 0.22]), names)["set"] == ["coat"]


def test_unknown_images_are_told_by_their_spread():
    known = np.array([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.9, 0.05, 0.05]])
    unknown = np.array([[0.4, 0.3, 0.3], [0.95, 0.04, 0.01]])
    answers = Answers(
        coverage=0.9, per_class=True, least=[0.1] * 3, refusals=0.05, least_spread=1.0
    )
    measured = measure_unknown(answers, known, unknown)
    assert measured.refused == 0.5
    assert measured.auroc == pytest.approx(5 / 6)  # of 6 pairs one is the wrong way round


def test_eight_bits_have_a_smallest_probability():
    rounded = np.array([[255 / 256, 1 / 256, 0.0]])
    assert spread(rounded, SMALLEST_OF_8_BITS) < spread(rounded)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A perceptron on a thousand images, in seconds: validated on 500."""
    settings = kmixer.build_settings(
        {
            "data": {"name": "fmnist", "train_per_class": 100, "validation_size": 500},
            "model": {"name": "mlp", "hidden_dims": [32]},
            "training": {"epochs": 2},
        }
    )
    return kmixer.train(settings, out=tmp_path_factory.mktemp("answers") / "run")


def test_a_training_keeps_its_answers(run):
    answers = run.answers
    assert answers.per_class and len(answers.least) == 10
    assert answers.measured.images == 10000
    assert 0.9 < answers.measured.coverage < 0.99
    assert "right class in the set" in (run.folder / "README.md").read_text()
    assert '"I do not know' in (run.folder / "README.md").read_text()


@pytest.mark.whole
def test_exports_predictions_and_the_command_answer_by_them(run, run_command, tmp_path):
    """A float file has the run's thresholds; one of integers its own, measured on its own answers."""
    run_command("export", run.folder, "--format", "tflite", "--out", tmp_path)
    run_command("export", run.folder, "--format", "tflite", "--quantize", "int8", "--out", tmp_path)
    manifests = [
        json.loads((tmp_path / name / "manifest.json").read_text())["answers"]
        for name in ("tflite", "tflite-int8")
    ]
    assert manifests[0] == run.answers.model_dump()
    assert manifests[1]["smallest"] == SMALLEST_OF_8_BITS
    assert manifests[1]["least"] != manifests[0]["least"]
    assert abs(manifests[1]["measured"]["coverage"] - 0.95) < 0.03
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for model in (run.folder, tmp_path / "tflite"):
        output = run_command("predict", model, run.folder / "example.png", "--json")
        answer = json.loads(output.stdout)["images"][0]["answer"]
        assert answer["says"] == in_words(answer["set"]) if answer["known"] else UNKNOWN
    done = run_command(
        "answers", run.folder, "--coverage", "0.8", "--unknown", tmp_path / "noise.png", "--json"
    )
    result = json.loads(done.stdout)
    assert result["answers"]["coverage"] == 0.8
    assert result["unknown"]["images"] == 1
    assert kmixer.load_run(run.folder).answers.coverage == 0.8


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--coverage", "1.2"], "--coverage: received 1.2, expected a share between 0 and 1"),
        (["--refusals", "0"], "--refusals: received 0, expected"),
        (["--coverage", "0.9999"], "needs 9,999 validation images, received 500"),
        (["--unknown", "nowhere/*.png"], "nowhere/*.png: no image file"),
    ],
)
def test_bad_input_is_one_line(run, run_command, words, problem):
    done = run_command("answers", run.folder, *words)
    assert done.returncode in (1, 2)
    assert problem in done.stderr and "Traceback" not in done.stderr
