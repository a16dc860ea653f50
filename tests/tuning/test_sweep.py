"""Grids of settings: planned, interrupted, gone on with, compared."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kmixer.config import loading, yaml_files
from kmixer.errors import SettingsError
from kmixer.tuning import sweep
from tiny_settings import tiny_flags


def test_grids_multiply_and_names_are_short():
    grid = sweep.parse_grid(["optimizer.learning_rate=0.01,1e-3", "model.block_dims=[8,4],[4,2]"])
    assert grid == {"optimizer.learning_rate": [0.01, 0.001], "model.block_dims": [[8, 4], [4, 2]]}
    planned = sweep.combinations(grid)
    assert len(planned) == 4
    assert planned["learning_rate=0.01,block_dims=8-4"] == [
        "optimizer.learning_rate=0.01", "model.block_dims=[8, 4]",
    ]  # fmt: skip
    assert list(sweep.combinations({"optimizer.name": ["adam"], "model.name": ["mlp"]})) == [
        "optimizer=adam,model=mlp"
    ]
    assert list(sweep.combinations({"data.name": ["a b", "a_b", "a b"]})) == [
        "data=a_b", "data=a_b_",
    ]  # fmt: skip
    assert list(sweep.combinations({"data.dir": ["a"], "x.dir": ["b"]})) == ["data.dir=a,x.dir=b"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["model.blocks"], "received 'model.blocks', expected path.to.key=value,value"),
        (["model.blocks="], "expected path.to.key"),
        (["=1,2"], "expected path.to.key"),
        (["model.blocks=1", "model.blocks=2"], "received model.blocks twice"),
        (["model.blocks=1]["], "expected YAML"),
    ],
)
def test_a_malformed_grid_is_refused(texts, message):
    with pytest.raises(SettingsError, match=message.replace("[", r"\[")):
        sweep.parse_grid(texts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "model.blcks=1,2"], "model.blcks: no such setting (nearest: 'blocks'"),
        (["--grid", "model.blocks=1,zwei"], "model.blocks: received 'zwei', expected integer"),
        (["--grid", "model.blocks=2024-01-01"], "model.blocks: received '2024-01-01', expected"),
        (["--grid", "model.blocks=1", "--preset", "fmnist-pyramd"], "nearest: 'fmnist-pyramid'"),
        ([], "--grid: received none"),
    ],
)
def test_a_mistake_in_a_sweep_is_refused_before_anything_is_written(
    run_command, tmp_path, words, message
):
    done = run_command("sweep", "fmnist", *words, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_sweep_goes_on_after_ctrl_c_and_ends_with_the_comparison(
    kmixer_cli, run_command, image_folder, tmp_path
):
    """Interrupted in its first run, which then goes on from its last whole epoch."""
    words = ["sweep", str(image_folder), *tiny_flags(training={"epochs": 60}), "--grid",
             "model.blocks=1,2", "--name", "s"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *words], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    first = tmp_path / "saved_models" / "s" / "blocks=1"
    deadline = time.monotonic() + 300
    while not (first / "history.csv").is_file() and process.poll() is None:
        assert time.monotonic() < deadline or process.kill()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130 and "the same command goes on" in errors
    assert not (first / "metrics.json").exists()
    before = (first / "history.csv").read_text()
    done = kmixer_cli(*words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "blocks=1  (unfinished)" in done.stderr and "blocks=2  (new)" in done.stderr
    after = (first / "history.csv").read_text()
    assert after.startswith(before) and len(after.splitlines()) == 61
    result = json.loads(done.stdout)
    assert [row["run"] for row in result["runs"]] == ["blocks=1", "blocks=2"]
    command = (first / "config.yaml").read_text().splitlines()[0]
    assert command.startswith("# kmixer train") and "model.blocks=1" in command
    assert (tmp_path / "saved_models" / "s" / "comparison" / "loss.png").is_file()
    again = run_command(*words, cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("(finished)") == 2
    changed = run_command(*words, "--set", "training.epochs=3", cwd=tmp_path)
    assert changed.returncode == 2
    assert "begun with training.epochs 60, received 3" in changed.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_settings_from_a_pipe_are_refused(run_command, image_folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    words = ("sweep", image_folder, "--config", tmp_path / "pipe", "--grid", "training.seed=0,1")
    done = run_command(*words, cwd=tmp_path)
    assert done.returncode == 2 and "which can be read once, expected a file" in done.stderr


def test_settings_edited_while_a_sweep_runs_are_refused(
    run_command, image_folder, tmp_path, monkeypatch
):
    config, trained = tmp_path / "settings.yaml", []
    config.write_text("training: {epochs: 1}")

    def train(words, folder):
        trained.append(words)
        config.write_text("training: {epochs: 2}")
        return 0

    monkeypatch.setattr("kmixer_cli.subprocesses.run_kmixer", train)
    words = ("sweep", image_folder, "--config", config, "--grid", "training.seed=0,1")
    done = run_command(*words, cwd=tmp_path)
    assert done.returncode == 2 and "training.epochs 1, received 2" in done.stderr
    assert len(trained) == 1


def test_a_sweep_takes_up_values_added_to_its_grid(tmp_path):
    def settings(blocks):
        return loading.build_settings({"model": {"blocks": blocks}})

    sweep.open_sweep(tmp_path, {"blocks=1": settings(1)})
    sweep.open_sweep(tmp_path, {"blocks=1": settings(1), "blocks=2": settings(2)})
    sweep.open_sweep(tmp_path, {"blocks=2": settings(2)})
    sweep.open_sweep(tmp_path, {"blocks=1": settings(1)})
    (tmp_path / "blocks=1").mkdir()
    (tmp_path / "blocks=1" / "config.yaml").touch()
    with pytest.raises(SettingsError, match=r"blocks=1: begun with model\.blocks 1, received 3"):
        sweep.open_sweep(tmp_path, {"blocks=1": settings(3)})


@pytest.mark.whole
def test_a_sweep_of_many_runs_goes_on(tmp_path):
    runs = {f"seed={n}": loading.build_settings({"training": {"seed": n}}) for n in range(250)}
    for _ in range(2):
        sweep.open_sweep(tmp_path, runs)
    assert len(yaml_files.read_file(tmp_path / "sweep.yaml", times=10)) == 250


def test_a_grid_of_too_many_runs_is_refused_at_once():
    grid = {f"model.{n}": list(range(1000)) for n in range(4)}
    with pytest.raises(SettingsError, match=r"received 1,000,000,000,000 combinations, at most"):
        sweep.combinations(grid)


def test_a_sweep_is_not_begun_in_a_runs_folder(tmp_path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(SettingsError, match="is a run; choose another --name"):
        sweep.open_sweep(tmp_path, {"run": loading.build_settings()})
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_values_in_any_script_reach_the_runs_and_fit_a_folders_name():
    names = ["猫" * 60, "😀", 'a"b']
    for run, (text,) in sweep.combinations({"data.name": names}).items():
        assert len(run.encode()) < 200
        assert loading.parse_assignment(text)["data"]["name"] == names.pop(0)


def test_settings_of_a_run_that_never_started_may_change(tmp_path):
    for blocks in (1, 2):
        sweep.open_sweep(tmp_path, {"run": loading.build_settings({"model": {"blocks": blocks}})})
    kept = yaml_files.read_file(tmp_path / "sweep.yaml", keep_run=True)
    assert kept["run"]["model"]["blocks"] == 2


@pytest.mark.parametrize("text", ["run: 3", "run: {model: {blokcs: 2}}", "- 1"])
def test_a_damaged_sweep_file_is_refused(tmp_path, text):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"sweep\.yaml: "):
        sweep.open_sweep(tmp_path, {"run": loading.build_settings()})


def test_only_the_folder_of_a_killed_run_is_removed(tmp_path):
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "labels.txt").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    for name in ("killed", "mine", "absent"):
        sweep.remove_unstarted(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.whole
def test_a_run_that_diverges_does_not_end_the_sweep(
    run_command, image_folder, tmp_path, monkeypatch
):
    """The two trainings run in this process here, for speed."""

    def run_kmixer(words, folder, environment=None):
        return run_command(*words, cwd=tmp_path).returncode

    monkeypatch.setattr("kmixer_cli.subprocesses.run_kmixer", run_kmixer)
    done = run_command(
        "sweep", image_folder, *tiny_flags(training={"epochs": 1}), "--set", "optimizer.name=sgd",
        "--grid", "optimizer.learning_rate=1e30,0.01", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 of 2 runs failed: learning_rate=1e+30 (exit code 3)" in done.stderr
    assert "validation split: learning_rate=0.01," in done.stdout
