"""Runs side by side, and sweeps: from the command line and by hand-checked numbers."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from kmixer import comparison, figures, settings_io, sweep, training
from kmixer.errors import RunError, SettingsError

TINY = {
    "data": {"batch_size": 16, "validation_size": 20},
    "model": {"patch_size": 4, "blocks": 1, "hidden_dim": 4, "tokens_mlp_dim": 2,
              "channels_mlp_dim": 4},
    "training": {"epochs": 2, "jit": False},
}  # fmt: skip
FLAGS = [
    word
    for section, values in TINY.items()
    for key, value in values.items()
    for word in ("--set", f"{section}.{key}={json.dumps(value)}")
]


@pytest.fixture(scope="module")
def root(image_folder, tmp_path_factory):
    """Two finished runs, `a` and `b`, that differ in their seed and model."""
    root = tmp_path_factory.mktemp("runs")
    for name, changes in (
        ("a", {"training": {"seed": 1}}),
        ("b", {"model": {"name": "mlp", "hidden_dims": [4]}}),
    ):
        data = {"data": {"name": str(image_folder)}}
        training.train(settings_io.build(TINY if name == "a" else TINY | {"model": {}}, data,
                                         changes), root=root, name=name)  # fmt: skip
    return root


@pytest.fixture
def copies(root, tmp_path):
    return shutil.copytree(root, tmp_path / "copies")


def test_runs_are_found_by_name_by_folder_and_by_glob(root):
    names = [
        [run.folder.name for run in comparison.find_runs(paths)]
        for paths in ([root / "b", root / "a"], [root], [f"{root}/*"], [f"{root}/[a]", root])
    ]
    assert names == [["b", "a"], ["a", "b"], ["a", "b"], ["a", "b"]]


def test_runs_found_below_a_folder_of_folders(copies):
    assert len(comparison.find_runs([copies.parent])) == 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "metrics.json").unlink(), r"a: incomplete: no metrics\.json; finish"),
        (lambda run: (run / "labels.txt").unlink(), r"a: incomplete: no labels\.txt"),
        (lambda run: (run / "config.yaml").unlink(), r"a: holds no run: no config\.yaml"),
        (shutil.rmtree, r"a: not there"),
        (lambda run: (run / "config.yaml").write_text("run: {format: 99}"), "run format 99"),
        (lambda run: (run / "config.yaml").write_text("training: {epochs: 1}"), "no section 'run'"),
        (lambda run: (run / "metrics.json").write_text("{"), r"a: metrics\.json is damaged"),
        (lambda run: (run / "metrics.json").write_text("{}"), r"a: metrics\.json .* no 'dataset'"),
        (lambda run: (run / "history.csv").write_text("epoch\nx\n"), r"a: history\.csv is damaged"),
    ],
)
def test_what_is_wrong_with_a_run_is_said(copies, damage, message):
    damage(copies / "a")
    with pytest.raises(RunError, match=message) as caught:
        found = comparison.find_runs([copies / "a"])
        comparison.table(found)
        comparison.curves(found)
    assert "\n" not in str(caught.value)


def test_a_glob_without_runs_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run folder matches"):
        comparison.find_runs([tmp_path / "nothing-*"])


def test_the_table_holds_the_runs_own_figures(root):
    runs = comparison.find_runs([root])
    for row, run in zip(comparison.table(runs), runs, strict=True):
        assert tuple(row) == comparison.COLUMNS
        assert row["test_accuracy"] == run.metrics["best"]["test"]["accuracy"]
        assert row["last_test_accuracy"] == run.metrics["last"]["test"]["accuracy"]
        assert row["parameters"] == run.metrics["parameters"]
    assert [row["run"] for row in comparison.table(runs)] == ["a", "b"]


def test_csv_and_markdown_read_back(root):
    rows = comparison.table(comparison.find_runs([root]))
    read = list(csv.DictReader(io.StringIO(comparison.as_csv(rows))))
    assert [float(row["test_accuracy"]) for row in read] == [row["test_accuracy"] for row in rows]
    text = comparison.as_markdown(["run", "x"], [["a|b", 1]])
    assert text == "| run | x |\n| --- | ---: |\n| a\\|b | 1 |\n"


def test_runs_of_one_name_are_told_apart(copies):
    shutil.copytree(copies / "a", copies / "other" / "a")
    found = comparison.find_runs([copies / "a", copies / "other"])
    assert comparison.names(found) == ["copies/a", "other/a"]


def test_only_settings_that_all_have_and_that_differ_are_told(root):
    differing = comparison.differences(comparison.find_runs([root]))
    assert differing["training.seed"] == [1, 0] and differing["model.name"] == ["mixer", "mlp"]
    assert "model.blocks" not in differing and "training.epochs" not in differing


def test_ten_curves_are_all_drawn_in_ten_colours():
    histories = [
        [{"epoch": e, "val_accuracy": 0.8 + 0.01 * run + 0.001 * e} for e in (1, 2, 3)]
        for run in range(10)
    ]
    figure = figures.overlaid(histories, [f"run {i}" for i in range(10)], "val_accuracy", "title")
    axes = figure.axes[0]
    assert len(axes.lines) == 10 and len({line.get_color() for line in axes.lines}) == 10
    assert axes.lines[9].get_ydata().tolist() == pytest.approx([0.891, 0.892, 0.893])
    assert [text.get_text() for text in figure.legends[0].get_texts()][9] == "run 9"


def test_compare_command_writes_everything_asked_for(kmixer_cli, root, tmp_path):
    done = kmixer_cli(
        "compare", root / "a", root / "b", "--csv", tmp_path / "t.csv", "--markdown",
        tmp_path / "t.md", "--out", tmp_path / "pictures",
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {
        "loss.png", "train_accuracy.png", "validation_accuracy.png",
    }  # fmt: skip
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 3
    assert (tmp_path / "t.md").read_text().count("| halves |") == 2
    assert "best on validation: " in done.stdout


def test_runs_of_different_data_may_be_compared(copies):
    metrics = copies / "b" / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"halves"', '"others"'))
    rows = comparison.table(comparison.find_runs([copies]))
    assert [row["dataset"] for row in rows] == ["halves", "others"]


def test_grids_multiply_and_names_are_short():
    grid = sweep.parse_grid(["optimizer.learning_rate=0.01,1e-3", "model.block_dims=[8,4],[4,2]"])
    assert grid == {"optimizer.learning_rate": [0.01, 0.001], "model.block_dims": [[8, 4], [4, 2]]}
    runs = sweep.combinations(grid)
    assert len(runs) == 4
    assert runs["learning_rate=0.01,block_dims=8-4"] == [
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
def test_a_grid_that_is_none_is_refused(texts, message):
    with pytest.raises(SettingsError, match=message.replace("[", r"\[")):
        sweep.parse_grid(texts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "model.blcks=1,2"], "model.blcks: no such setting (nearest: 'blocks'"),
        (["--grid", "model.blocks=1,zwei"], "model.blocks: received 'zwei', expected integer"),
        (["--grid", "model.blocks=1", "--preset", "fmnist-pyramd"], "nearest: 'fmnist-pyramid'"),
        ([], "--grid: received none"),
    ],
)
def test_a_mistake_in_a_sweep_is_told_before_anything_is_written(
    kmixer_cli, tmp_path, words, message
):
    done = kmixer_cli("sweep", "fmnist", *words, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_sweep_goes_on_after_ctrl_c_and_ends_with_the_comparison(
    kmixer_cli, image_folder, tmp_path
):
    words = ["sweep", str(image_folder), *FLAGS, "--grid", "model.blocks=1,2", "--name", "s"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *words], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    first = tmp_path / "saved_models" / "s" / "blocks=1"
    while not (first / "metrics.json").is_file() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in errors
    written = (first / "metrics.json").stat().st_mtime_ns
    done = kmixer_cli(*words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["run"] for row in result["runs"]] == ["blocks=1", "blocks=2"]
    assert (first / "metrics.json").stat().st_mtime_ns == written
    command = (first / "config.yaml").read_text().splitlines()[0]
    assert command.startswith("# kmixer train") and "model.blocks=1" in command
    assert (tmp_path / "saved_models" / "s" / "comparison" / "loss.png").is_file()
    changed = kmixer_cli(*words, "--set", "training.epochs=3", cwd=tmp_path)
    assert changed.returncode == 2 and "begun with training.epochs 2, received 3" in changed.stderr


def test_a_run_that_diverges_does_not_end_the_sweep(kmixer_cli, image_folder, tmp_path):
    done = kmixer_cli(
        "sweep", image_folder, *FLAGS, "--set", "optimizer.name=sgd", "--grid",
        "optimizer.learning_rate=1e30,0.01", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 of 2 runs failed: learning_rate=1e+30 (exit code 3)" in done.stderr
    assert "best on validation: learning_rate=0.01" in done.stdout
