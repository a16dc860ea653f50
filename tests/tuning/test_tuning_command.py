"""`kmixer tune` as one types it."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

import keras
import pytest

from kmixer.config import yaml_files
from kmixer.runs.run import load_run
from tuning_search import read_trials, tiny_search

if keras.backend.backend() != "tensorflow":
    pytest.skip("trials have a process and a backend of their own", allow_module_level=True)
needs_signals = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals")

CPU = {"CUDA_VISIBLE_DEVICES": ""}  # `tune` sets it in its own process, which is the tests' here


@pytest.fixture(scope="module")
def finished_search(kmixer_cli, image_folder, tmp_path_factory):
    """A finished search of two trials: (its folder, the command, what the command printed)."""
    root = tmp_path_factory.mktemp("tune")
    options = ["--seed", 2, "--trials", 2, "--keep", 1, "--max-params", 600]
    words = tiny_search(image_folder, *options, epochs=2)
    done = kmixer_cli(*words, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr
    return root / "saved_models" / "halves-tune", words, done


@pytest.fixture
def copied_search(finished_search, tmp_path):
    """A copy of the finished search, to go on with: (the command's folder, its own, the command)."""
    folder, words, _ = finished_search
    root = shutil.copytree(folder.parent.parent, tmp_path / "copy")
    return root, root / "saved_models" / folder.name, words


def finished_rows(folder):
    return [row for row in read_trials(folder) if row["state"] == "finished"]


def test_a_search_leaves_runs_a_table_and_plots(finished_search):
    folder, _, done = finished_search
    rows = finished_rows(folder)
    assert len(rows) == 2 and "best: trial" in done.stdout and "test accuracy" in done.stdout
    best = max(rows, key=lambda row: float(row["objective"]))
    for row in rows:
        run = load_run(folder / "trials" / f"trial-{int(row['trial']):03}")
        assert run.metrics["best"]["test"] is None  # measured once, of the best, at the end
        assert run.settings.model.blocks == int(row["model.blocks"])
        accuracies = [epoch["val_accuracy"] for epoch in run.history]
        assert max(accuracies) == pytest.approx(float(row["objective"]))
        assert (run.folder / "model.keras").exists() == (row["trial"] == best["trial"])
        assert (run.folder / "curves.png").exists() and (run.folder / "README.md").exists()
    for name in ("parallel.png", "cost.png", "importance.png"):
        assert (folder / name).stat().st_size > 3000


def test_no_model_is_larger_than_allowed(finished_search):
    rows = read_trials(finished_search[0])
    small = [row for row in rows if row["state"] == "finished"]
    assert all(int(row["trainable_parameters"]) <= 600 for row in small)
    large = [row for row in rows if row["state"] == "infeasible"]
    assert large and all("more than the 600 of --max-params" in row["reason"] for row in large)


def test_the_same_command_has_nothing_left_to_do(run_command, finished_search):
    folder, words, _ = finished_search
    before = (folder / "journal.jsonl").read_bytes()
    done = run_command(*words, "--json", cwd=folder.parent.parent, env=CPU)
    assert done.returncode == 0 and (folder / "journal.jsonl").read_bytes() == before
    result = json.loads(done.stdout)
    assert len(result["trials"]) == 2 and result["test"]["trial"] == result["best"]["trial"]


def test_best_yaml_trains_the_best_trial_again(
    run_command, finished_search, image_folder, tmp_path
):
    best = finished_search[0] / "best.yaml"
    done = run_command("train", image_folder, "--config", best, "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    number = int(best.read_text().split()[2])
    trial = load_run(finished_search[0] / "trials" / f"trial-{number:03}")
    losses = [(row["loss"], row["val_loss"]) for row in load_run(tmp_path / "again").history]
    assert losses == [(row["loss"], row["val_loss"]) for row in trial.history]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--search", "model.dropout=0,0.1"], "begun with search.model.dropout None"),
        (["--epochs", 3], "begun with training.epochs 2, received 3"),
        (["--seed", 5], "begun with seed 2, received 5"),
        (["--objective", "val_loss", "--extend"], "begun with objective 'val_accuracy'"),
    ],
)
def test_a_search_that_changed_is_refused(run_command, finished_search, changes, message):
    folder, words, _ = finished_search
    done = run_command(*words, *changes, cwd=folder.parent.parent, env=CPU)
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
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run_command, image_folder, tmp_path, words, message):
    done = run_command(*tiny_search(image_folder), *words, cwd=tmp_path, env=CPU)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr


def test_a_space_that_fits_no_image_is_refused_before_keras_is_imported(image_folder, tmp_path):
    """The answer takes the time to import pydantic and to read the images, not TensorFlow's start."""
    words = tiny_search(image_folder, "--search", "model.patch_size=3,5")
    code = (
        "import sys, kmixer_cli.main as m\n"
        f"try: m.main({words!r})\n"
        "except SystemExit as ended: print(ended.code, {'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "2 set()"
    assert "does not fit an image side of 8" in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("engine", "option", "limit", "reason"),
    [
        ("keras-tuner", "--max-params", "10", "parameters, more than the 10 of --max-params"),
        ("optuna", "--max-flash", "1k", "bytes of flash, more than the 1,024 of --max-flash"),
        ("optuna", "--max-ram", "1k", "bytes of RAM, more than the 1,024 of --max-ram"),
    ],
)
def test_where_no_point_can_be_trained_each_shape_is_built_once(
    run_command, image_folder, tmp_path, engine, option, limit, reason, monkeypatch
):
    from kmixer.tuning import search
    from kmixer.tuning.workers import loop

    count, built = search.model_cost, []

    def counting(settings, dataset, for_chip):
        built.append(settings.model.blocks)
        return count(settings, dataset, for_chip)

    monkeypatch.setattr(search, "model_cost", counting)
    monkeypatch.setattr(loop, "MOST_INFEASIBLE", 20)
    words = tiny_search(image_folder, option, limit, "--engine", engine)
    done = run_command(*words, "--search", "model.dropout=0..0.5", cwd=tmp_path, env=CPU)
    assert done.returncode == 2 and "none of 20 points in a row can be trained" in done.stderr
    assert reason in done.stderr
    assert sorted(built) == [1, 2]


def _begin(words, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *words], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _child(parent, word):
    """Return the id of the child process of `parent` whose command contains `word`."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    processes = [line.split(maxsplit=2) for line in listing.splitlines()]
    (pid,) = [int(pid) for pid, ppid, args in processes if int(ppid) == parent and word in args]
    return pid


@pytest.mark.slow
@needs_signals
def test_crashes_and_divergence_are_recorded_and_sigterm_ends_cleanly(
    kmixer_cli, image_folder, tmp_path
):
    rates = "optimizer.learning_rate=1e30,0.01,0.02"
    words = tiny_search(image_folder, "--tuner", "grid", epochs=400, space=[rates])
    folder = tmp_path / "saved_models" / "halves-tune"
    process = _begin(words, tmp_path)
    _wait_for((folder / "trials" / "trial-001" / "history.csv").exists)
    os.kill(_child(process.pid, "trial-001.json"), signal.SIGKILL)
    _wait_for((folder / "trials" / "trial-002" / "history.csv").exists)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 143
    assert errors.strip().endswith("the same command goes on with saved_models/halves-tune")
    done = kmixer_cli(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    states = {row["trial"]: (row["state"], row["reason"]) for row in read_trials(folder)}
    assert states["0"][0] == "failed" and "diverged" in states["0"][1]
    assert states["1"][0] == "failed" and "killed by SIGKILL" in states["1"][1]
    assert states["2"] == ("finished", "")
    assert len(load_run(folder / "trials" / "trial-002").history) == 400


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit of memory")
def test_a_trial_that_runs_out_of_memory_is_recorded_and_the_search_goes_on(
    kmixer_cli, image_folder, tmp_path
):
    widths = "model.channels_mlp_dim=8,200000000"  # the second: 6 GB of weights, and as much again
    words = tiny_search(image_folder, "--tuner", "grid", space=[widths])
    done = kmixer_cli(*words, cwd=tmp_path, limits=[("AS", 12 * 2**30)])
    assert done.returncode == 0, done.stderr
    first, second = read_trials(tmp_path / "saved_models" / "halves-tune")
    assert first["state"] == "finished"
    assert second["state"] == "failed" and second["reason"].startswith("out of memory")


@pytest.mark.slow
def test_the_budget_ends_a_search_and_a_slow_trial_is_ended(kmixer_cli, image_folder, tmp_path):
    limit = ["--max-seconds-per-epoch", 1e-4, "--trials", 1]
    done = kmixer_cli(*tiny_search(image_folder, *limit, epochs=100_000), cwd=tmp_path)
    assert done.returncode == 1 and "too slow" in done.stderr
    words = tiny_search(image_folder, "--budget", "30s", name="short", epochs=100_000)
    done = kmixer_cli(*words, cwd=tmp_path)
    assert done.returncode == 1 and "no trial finished" in done.stderr
    trial = tmp_path / "saved_models" / "short" / "trials" / "trial-000"
    assert (trial / "checkpoint.npz").exists()  # the same command goes on with it


@pytest.mark.slow
def test_the_best_is_trained_again_on_train_and_validation(kmixer_cli, copied_search):
    root, folder, words = copied_search
    done = kmixer_cli(*words, "--retrain", cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr
    run = load_run(next(folder.glob("best-*")))
    assert run.settings.data.train_on_validation and run.metrics["last"]["test"]["accuracy"] >= 0.5


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("engine", ["keras-tuner", "optuna"])
def test_only_one_search_works_in_a_folder(run_command, image_folder, tmp_path, engine):
    words = tiny_search(image_folder, "--engine", engine, epochs=100_000)
    process = _begin(words, tmp_path)
    _wait_for(lambda: list(tmp_path.rglob("history.csv")))
    done = run_command(*words, cwd=tmp_path, env=CPU)
    process.kill()
    assert done.returncode == 1 and "in use by process" in done.stderr
    process.communicate()


@pytest.mark.slow
def test_a_search_is_extended(kmixer_cli, copied_search):
    root, folder, words = copied_search
    wider = [*words, "--search", "model.dropout=0,0.1", "--trials", 3, "--extend"]
    done = kmixer_cli(*wider, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = finished_rows(folder)
    assert len(rows) == 3 and [row["model.dropout"] for row in rows][:2] == [""] * 2
    assert rows[2]["model.dropout"] in ("0", "0.0", "0.1")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["keras-tuner", "optuna"])
def test_hyperband_gives_poor_trials_fewer_epochs(kmixer_cli, image_folder, tmp_path, engine):
    rates = "optimizer.learning_rate=1e-7,1e-6,0.02,0.03"
    options = ["--engine", engine, "--tuner", "hyperband", "--objective", "val_loss", "--keep", 1]
    if engine == "optuna":  # the other one ends by itself
        options += ["--trials", 12]
    epochs = 3 if engine == "keras-tuner" else 9
    words = tiny_search(image_folder, *options, epochs=epochs, space=[rates])
    done = kmixer_cli(*words, cwd=tmp_path, timeout=400)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "saved_models" / "halves-tune"
    rows = read_trials(folder)
    if engine == "keras-tuner":  # three of one epoch, the best again with three, and the last value
        assert sorted(row["epochs"] for row in rows) == ["1", "1", "1", "3", "3"]
    else:
        pruned = [row for row in rows if row["state"] == "pruned"]
        assert pruned and all(row["reason"].startswith("pruned after epoch") for row in pruned)
    best = yaml_files.read_file(folder / "best.yaml")
    assert best["optimizer"]["learning_rate"] >= 0.02


def test_show_space_prints_a_space_that_can_be_edited(run_command):
    from kmixer.tuning.space.space import Space

    done = run_command("tune", "--show-space")
    assert Space(yaml_files.parse_yaml(done.stdout, "space")["search"]).searched


@pytest.mark.slow
def test_a_trial_is_scored_by_its_folds_and_seeds(run_command, image_folder, tmp_path):
    words = tiny_search(image_folder, "--trials", 1, "--folds", 2, "--repeats", 2, name="scored")
    done = run_command(*words, cwd=tmp_path, env=CPU)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "saved_models" / "scored"
    names = ["trial-000", "trial-000-fold1", "trial-000-seed1", "trial-000-seed1-fold1"]
    runs = [load_run(folder / "trials" / name) for name in names]
    data = [run.settings.data for run in runs]
    assert [(each.folds, each.fold, each.split_seed) for each in data] == [
        (2, 0, 0), (2, 1, 0), (2, 0, 1), (2, 1, 1)
    ]  # fmt: skip
    assert len({run.settings.training.seed for run in runs}) == 2
    values = [max(row["val_accuracy"] for row in run.history) for run in runs]
    (row,) = finished_rows(folder)
    assert float(row["objective"]) == pytest.approx(statistics.mean(values))
    assert float(row["objective_std"]) == pytest.approx(statistics.stdev(values))
    assert row["trainings"] == "4" and "±" in done.stdout
    best = yaml_files.read_file(folder / "best.yaml")["data"]
    assert best["folds"] is None  # the split of the search, to train it again


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--folds", 1], "Invalid value for '--folds': Input should be greater than or equal to 2"),
        (["--repeats", 0], "Invalid value for '--repeats': Input should be greater"),
        (["--folds", 1000], "data.folds: received 1000, expected at most the "),
        (["--folds", 2, "--set", "data.folds=3"], "expected no data.folds with it, which is 3"),
        (["--folds", 2, "--set", "data.train_on_validation=true"], "which is true"),
        (["--folds", "many"], "Invalid value for '--folds': Input should be a valid integer"),
    ],
)
def test_folds_that_cannot_be(run_command, image_folder, tmp_path, options, problem):
    words = tiny_search(image_folder, "--trials", 1)
    words = [word for word in words if "train_on_validation" not in word]
    done = run_command(*words, *map(str, options), cwd=tmp_path, env=CPU)
    assert done.returncode == 2 and problem in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr


def test_a_search_with_other_folds_is_another_one(run_command, copied_search):
    root, _, words = copied_search
    done = run_command(*words, "--repeats", 3, "--extend", cwd=root, env=CPU)
    assert done.returncode == 2 and "repeats" in done.stderr and "another --name" in done.stderr


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], "optuna-dashboard saved_models/seen/optuna.jsonl"),
        (
            ["--storage", "postgresql://user:secret@host/studies"],
            "optuna-dashboard postgresql+psycopg://host/studies",
        ),
    ],
)
def test_the_dashboards_command_is_shown_without_secrets(run_command, tmp_path, options, shown):
    pytest.importorskip("optuna")
    words = ["tune", "fmnist", "--name", "seen", "--engine", "optuna", "--show", *options]
    done = run_command(*words, cwd=tmp_path, env=CPU)
    assert done.returncode == 0 and shown in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr and not (tmp_path / "saved_models").exists()
    as_json = run_command(*words, "--json", cwd=tmp_path, env=CPU)
    assert json.loads(as_json.stdout) == {"command": shown}


def test_keras_tuner_has_no_dashboard(run_command, tmp_path):
    done = run_command("tune", "fmnist", "--show", cwd=tmp_path, env=CPU)
    assert done.returncode == 2 and "expected --engine optuna" in done.stderr
