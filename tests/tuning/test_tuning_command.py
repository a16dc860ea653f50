"""`kmixer tune` as one types it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest

from kmixer.config import yaml_files
from kmixer.runs.run import load_run
from tuning_search import tiny_search

if keras.backend.backend() != "tensorflow":
    pytest.skip("trials have a process and a backend of their own", allow_module_level=True)
needs_signals = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals")


@pytest.fixture(scope="module")
def searched(kmixer_cli, image_folder, tmp_path_factory):
    """A finished search of three trials: (its folder, the command, what the command said)."""
    root = tmp_path_factory.mktemp("tune")
    words = [*tiny_search(image_folder), "--trials", 3, "--keep", 1, "--max-params", 600]
    done = kmixer_cli(*words, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr
    return root / "saved_models" / "halves-tune", words, done


def _rows(folder):
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_search_leaves_runs_a_table_and_pictures(searched):
    folder, _, done = searched
    rows = [row for row in _rows(folder) if row["state"] == "finished"]
    assert len(rows) == 3 and "best: trial" in done.stdout and "test accuracy" in done.stdout
    best = max(rows, key=lambda row: float(row["objective"]))
    for row in rows:
        run = load_run(folder / "trials" / f"trial-{int(row['trial']):03}")
        assert run.metrics["best"]["test"] is None  # read once, of the best, at the end
        assert run.settings.model.blocks == int(row["model.blocks"])
        accuracies = [each["val_accuracy"] for each in run.history]
        assert max(accuracies) == pytest.approx(float(row["objective"]))
        assert (run.folder / "model.keras").exists() == (row["trial"] == best["trial"])
        assert (run.folder / "curves.png").exists() and (run.folder / "README.md").exists()
    for name in ("parallel.png", "cost.png", "importance.png"):
        assert (folder / name).stat().st_size > 3000


def test_no_model_is_larger_than_allowed(searched):
    rows = _rows(searched[0])
    small = [row for row in rows if row["state"] == "finished"]
    assert all(int(row["trainable_parameters"]) <= 600 for row in small)
    large = [row for row in rows if row["state"] == "infeasible"]
    assert all("more than the 600 of --max-params" in row["reason"] for row in large)


def test_the_same_command_has_nothing_left_to_do(kmixer_cli, searched):
    folder, words, _ = searched
    before = (folder / "journal.jsonl").read_bytes()
    done = kmixer_cli(*words, "--json", cwd=folder.parent.parent)
    assert done.returncode == 0 and (folder / "journal.jsonl").read_bytes() == before
    said = json.loads(done.stdout)
    assert len(said["trials"]) == 3 and said["test"]["trial"] == said["best"]["trial"]


def test_best_yaml_trains_the_best_trial_again(kmixer_cli, searched, image_folder):
    folder = searched[0]
    best = folder / "best.yaml"
    done = kmixer_cli("train", image_folder, "--config", best, "--out", folder / "again")
    assert done.returncode == 0, done.stderr
    number = int(best.read_text().split()[2])
    trial = load_run(folder / "trials" / f"trial-{number:03}")
    shown = [(row["loss"], row["val_loss"]) for row in load_run(folder / "again").history]
    assert shown == [(row["loss"], row["val_loss"]) for row in trial.history]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--search", "model.dropout=0,0.1"], "begun with search.model.dropout None"),
        (["--epochs", 3], "begun with training.epochs 2, received 3"),
        (["--seed", 5], "begun with seed 0, received 5"),
        (["--objective", "val_loss", "--extend"], "begun with objective 'val_accuracy'"),
    ],
)
def test_a_search_that_changed_is_refused(kmixer_cli, searched, changes, message):
    folder, words, _ = searched
    done = kmixer_cli(*words, *changes, cwd=folder.parent.parent)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--search", "model.blcks=1,2"], "nearest: 'model.blocks'"),
        (["--search", "model.dropout=0.4..0.1"], "expected the smaller one first"),
        (["--search", "model.dropout={choice: []}"], "empty choice"),
        (["--search", "model.dropout=x,y"], "no valid point"),
        (["--objective", "test_accuracy"], "--objective: received 'test_accuracy', not measured"),
        (["--engine", "optna"], "nearest: 'optuna'"),
        (["--tuner", "tpe"], "expected one of --engine keras-tuner: random"),
        (["--budget", "soon"], "expected a time such as 90s"),
        (["--role", "boss"], "expected chief or worker"),
        (["--role", "chief"], "KERASTUNER_TUNER_ID is not set"),
        (["--storage", "x.jsonl"], "expected --engine optuna"),
        (["--engine", "optuna", "--storage", "no/such/x.jsonl"], "cannot be opened"),
        (["--engine", "optuna", "--storage", "nosuch://x"], "cannot be opened"),
        (["--engine", "optuna", "--tuner", "grid", "--search", "model.dropout=0..0.5"], "a step"),
        (["--search", "model.patch_size=3,5"], "does not fit an image side of 8"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(kmixer_cli, image_folder, tmp_path, words, message):
    done = kmixer_cli(*tiny_search(image_folder), *words, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr


def _begin(words, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *map(str, words)], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _wait_for(condition, seconds=90):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
@needs_signals
def test_what_crashes_or_diverges_is_told_and_sigterm_ends_cleanly(
    kmixer_cli, image_folder, tmp_path
):
    rates = "optimizer.learning_rate=1e30,0.01,0.02"
    words = tiny_search(image_folder, epochs=400)
    words = [*words[:2], "--search", rates, *words[6:], "--tuner", "grid"]
    folder = tmp_path / "saved_models" / "halves-tune"
    process = _begin(words, tmp_path)
    _wait_for((folder / "trials" / "trial-001" / "history.csv").exists)
    subprocess.run(["pkill", "-9", "-f", "kmixer.tuning.workers.trial .*trial-001"], check=True)
    _wait_for((folder / "trials" / "trial-002" / "history.csv").exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert (
        process.stderr.read()
        .strip()
        .endswith("the same command goes on with saved_models/halves-tune")
    )
    done = kmixer_cli(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    states = {row["trial"]: (row["state"], row["reason"]) for row in _rows(folder)}
    assert states["0"][0] == "failed" and "diverged" in states["0"][1]
    assert states["1"][0] == "failed" and "killed by SIGKILL" in states["1"][1]
    assert (
        states["2"] == ("finished", "")
        and len(load_run(folder / "trials" / "trial-002").history) == 400
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit of memory")
def test_a_trial_that_runs_out_of_memory_is_told_and_the_search_goes_on(
    kmixer_cli, image_folder, tmp_path
):
    widths = "model.channels_mlp_dim=8,200000000"  # the second: 6 GB of weights, and as much again
    words = tiny_search(image_folder)
    fixed = words.index("model.channels_mlp_dim=8")
    words = [*words[:2], "--search", widths, *words[6 : fixed - 1], *words[fixed + 1 :]]
    words += ["--tuner", "grid"]
    done = kmixer_cli(*words, cwd=tmp_path, limits=[("AS", 12 * 2**30)])
    assert done.returncode == 0, done.stderr
    first, second = _rows(tmp_path / "saved_models" / "halves-tune")
    assert first["state"] == "finished"
    assert second["state"] == "failed" and second["reason"].startswith("out of memory")


@pytest.mark.slow
def test_the_budget_ends_a_search_and_a_slow_trial_is_ended(kmixer_cli, image_folder, tmp_path):
    words = [
        *tiny_search(image_folder, epochs=100_000),
        "--max-seconds-per-epoch",
        1e-4,
        "--trials",
        1,
    ]
    done = kmixer_cli(*words, cwd=tmp_path)
    assert done.returncode == 1 and "too slow" in done.stderr
    done = kmixer_cli(
        *tiny_search(image_folder, "short", epochs=100_000), "--budget", "20s", cwd=tmp_path
    )
    assert done.returncode == 1 and "no trial finished" in done.stderr
    begun = tmp_path / "saved_models" / "short" / "trials" / "trial-000"
    assert (begun / "checkpoint.npz").exists()  # the same command goes on with it


@pytest.mark.slow
def test_the_best_is_trained_again_on_train_and_validation(kmixer_cli, searched):
    folder, words, _ = searched
    done = kmixer_cli(*words, "--retrain", cwd=folder.parent.parent, timeout=300)
    assert done.returncode == 0, done.stderr
    run = load_run(next(folder.glob("best-*")))
    assert run.settings.data.train_on_validation and run.metrics["last"]["test"]["accuracy"] > 0.5


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("engine", ["keras-tuner", "optuna"])
def test_only_one_search_works_in_a_folder(kmixer_cli, image_folder, tmp_path, engine):
    words = [*tiny_search(image_folder, epochs=100_000), "--engine", engine]
    process = _begin(words, tmp_path)
    _wait_for(lambda: list(tmp_path.rglob("history.csv")))
    done = kmixer_cli(*words, cwd=tmp_path)
    process.kill()
    assert done.returncode == 1 and "in use by process" in done.stderr
    process.wait()


@pytest.mark.slow
def test_a_search_is_extended(kmixer_cli, searched, tmp_path):
    folder, words, _ = searched
    root = tmp_path / "copy"
    shutil.copytree(folder.parent.parent, root)
    wider = [*words, "--search", "model.dropout=0,0.1", "--trials", 4, "--extend"]
    done = kmixer_cli(*wider, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [row for row in _rows(root / "saved_models" / folder.name) if row["state"] == "finished"]
    assert len(rows) == 4 and [row["model.dropout"] for row in rows][:3] == [""] * 3
    assert rows[3]["model.dropout"] in ("0", "0.0", "0.1")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["keras-tuner", "optuna"])
def test_hyperband_gives_poor_trials_fewer_epochs(kmixer_cli, image_folder, tmp_path, engine):
    rates = "optimizer.learning_rate=1e-7,1e-6,0.02,0.03"
    words = tiny_search(image_folder, epochs=3 if engine == "keras-tuner" else 9)
    words = [*words[:2], "--search", rates, *words[6:], "--engine", engine, "--tuner", "hyperband"]
    words += ["--objective", "val_loss"]
    more = [] if engine == "keras-tuner" else ["--trials", 12]  # the other one ends by itself
    done = kmixer_cli(*words, *more, "--keep", 1, cwd=tmp_path, timeout=400)
    assert done.returncode == 0, done.stderr
    rows = _rows(tmp_path / "saved_models" / "halves-tune")
    if engine == "keras-tuner":  # three of one epoch, the best again with three, and the last value
        assert sorted(row["epochs"] for row in rows) == ["1", "1", "1", "3", "3"]
    else:
        pruned = [row for row in rows if row["state"] == "pruned"]
        assert pruned and all(row["reason"].startswith("pruned after epoch") for row in pruned)
    best = yaml_files.read_file(tmp_path / "saved_models" / "halves-tune" / "best.yaml")
    assert best["optimizer"]["learning_rate"] >= 0.02


def test_show_space_prints_what_can_be_edited(kmixer_cli):
    from kmixer.tuning.space.space import Space

    done = kmixer_cli("tune", "--show-space")
    assert Space(yaml_files.parse_yaml(done.stdout, "space")["search"]).searched
