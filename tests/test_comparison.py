"""Runs side by side, and sweeps: from the command line and by hand-checked numbers."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from kmixer import comparison, figures, runs, settings_io, sweep, training
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


def edit(path, pattern, replacement):
    text = path.read_text()
    path.write_text(re.sub(pattern, replacement, text, count=1))
    assert path.read_text() != text


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
        (lambda run: (run / "config.yaml").unlink(), r"a: holds no finished run"),
        (shutil.rmtree, r"a: not there"),
        (lambda run: (run / "config.yaml").write_text("run: {format: 99}"), "run format 99"),
        (lambda run: (run / "config.yaml").write_text("training: {epochs: 1}"), "no section 'run'"),
        (lambda run: (run / "metrics.json").write_text("{"), r"a: metrics\.json is damaged"),
        (
            lambda run: (run / "metrics.json").write_text("{}"),
            r"a: metrics\.json .* dataset is missing",
        ),
        (lambda run: (run / "history.csv").write_text("epoch\nx\n"), r"a: history\.csv is damaged"),
        (lambda run: (run / "history.csv").write_bytes(b"\xff"), r"a: history\.csv is damaged"),
        (lambda run: edit(run / "history.csv", r"(?s)(.*?\n).*", r"\1"), "is empty"),
        (lambda run: edit(run / "history.csv", r"0\.\d+\n", "nan\n"), "no finite number"),
        (
            lambda run: edit(run / "metrics.json", r'"loss": [0-9.]+', '"loss": null'),
            "best.train.loss holds None",
        ),
        (
            lambda run: edit(run / "config.yaml", "blocks:", "blokcs:"),
            "a: config.yaml, perhaps of another version: model.blokcs: no such setting",
        ),
        (lambda run: edit(run / "config.yaml", "  versions:", "  verions:"), r"no run\.versions"),
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
    with pytest.raises(RunError, match="no finished run matches"):
        comparison.find_runs([tmp_path / "nothing-*"])


def test_the_table_holds_the_runs_own_figures(root):
    found = comparison.find_runs([root])
    for row, run in zip(comparison.table(found), found, strict=True):
        assert tuple(row) == comparison.COLUMNS
        assert row["test_accuracy"] == run.metrics["best"]["test"]["accuracy"]
        assert row["last_test_accuracy"] == run.metrics["last"]["test"]["accuracy"]
        assert row["parameters"] == run.metrics["trainable_parameters"]
    assert [row["run"] for row in comparison.table(found)] == ["a", "b"]


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


def test_below_a_folder_what_is_no_finished_run_is_left_out_with_a_word(copies):
    (copies / "a" / "metrics.json").unlink()
    shutil.copytree(copies / "b", copies / "damaged")
    (copies / "damaged" / "metrics.json").write_text("{}")
    (copies / "foreign").mkdir()
    (copies / "foreign" / "config.yaml").write_text("some: thing")
    said = []
    assert [run.folder.name for run in comparison.find_runs([copies], said.append)] == ["b"]
    assert len(said) == 3 and "kmixer resume" in said[0]
    assert "of another version" in said[1] and "foreign: not a run" in said[2]
    with pytest.raises(RunError, match="incomplete"):
        comparison.find_runs([copies / "a"])


def test_only_settings_that_all_have_and_that_differ_are_told(root):
    differing = comparison.differences(comparison.find_runs([root]))
    assert differing["training.seed"] == [1, 0] and differing["model.name"] == ["mixer", "mlp"]
    assert "model.blocks" not in differing and "training.epochs" not in differing


def test_a_section_that_only_one_run_has_switched_on_is_told():
    def run(changes):
        return runs.Run(None, settings_io.build({"schedule": {"name": "constant"}}, changes), {})

    differing = comparison.differences([run({}), run({"plateau": {"patience": 3}})])
    assert differing["plateau.patience"] == [None, 3] and "plateau" not in differing


def test_the_best_run_is_told_for_each_data_set():
    rows = [
        {"dataset": d, "validation_accuracy": a} for d, a in (("x", 0.1), ("y", 0.9), ("x", 0.2))
    ]
    assert comparison.best(rows) == {"x": rows[2], "y": rows[1]}


def test_ten_curves_are_all_drawn_in_ten_colours():
    histories = [
        [{"epoch": e, "val_accuracy": 0.8 + 0.01 * run + 0.001 * e} for e in (1, 2, 3)]
        for run in range(10)
    ]
    figure = figures.overlaid(histories, [f"run {i}" for i in range(10)], "val_accuracy", "title")
    axes = figure.axes[0]
    assert len(axes.lines) == 10 and len({line.get_color() for line in axes.lines}) == 10
    assert axes.lines[9].get_ydata().tolist() == pytest.approx([0.891, 0.892, 0.893])
    assert [text.get_text() for text in figure.legends[0].get_texts()][9] == " run 9"


def test_no_run_lies_wholly_outside_the_axes():
    long = [{"epoch": e, "val_accuracy": 0.9} for e in range(60)]
    histories = [long] * 9 + [[{"epoch": 1, "val_accuracy": 0.5}]]
    axes = figures.overlaid(histories, list("abcdefghij"), "val_accuracy", "t").axes[0]
    assert axes.get_ylim()[0] < 0.5 and axes.get_ylim()[1] > 0.9


def test_long_names_keep_both_ends():
    name = f"learning_rate=0.01,{'x' * 60},seed=2"
    assert figures.shorten("short") == "short"
    assert figures.shorten(name).startswith("learning_rate=0.01,x")
    assert figures.shorten(name).endswith("x,seed=2") and len(figures.shorten(name)) < 60


def test_a_link_that_leads_nowhere_is_passed_over(copies):
    (copies / "latest[1]").symlink_to(copies / "gone")
    assert len(comparison.find_runs([f"{copies}/*"])) == 2


def test_a_label_that_begins_with_an_underscore_is_in_the_legend():
    figure = figures.overlaid([[{"epoch": 1, "loss": 1.0}]], ["_x"], "loss", "t")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [" _x"]


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
    assert "best on halves's validation split: " in done.stdout


def test_runs_of_different_data_may_be_compared(copies):
    metrics = copies / "b" / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"halves"', '"others"'))
    rows = comparison.table(comparison.find_runs([copies]))
    assert [row["dataset"] for row in rows] == ["halves", "others"]


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
        (["model.blocks=2024-01-01,2"], "expected plain values"),
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
    """Interrupted in its first run, which then goes on from its last whole epoch."""
    words = ["sweep", str(image_folder), *FLAGS, "--set", "training.epochs=150", "--grid",
             "model.blocks=1,2", "--name", "s"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *words], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    first = tmp_path / "saved_models" / "s" / "blocks=1"
    deadline = time.monotonic() + 120
    while not (first / "checkpoint.npz").is_file() and process.poll() is None:
        assert time.monotonic() < deadline or process.kill()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in errors
    assert not (first / "metrics.json").exists()
    before = (first / "history.csv").read_text()
    done = kmixer_cli(*words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "blocks=1  (begun)" in done.stderr and "blocks=2  (new)" in done.stderr
    after = (first / "history.csv").read_text()
    assert after.startswith(before) and len(after.splitlines()) == 151
    result = json.loads(done.stdout)
    assert [row["run"] for row in result["runs"]] == ["blocks=1", "blocks=2"]
    command = (first / "config.yaml").read_text().splitlines()[0]
    assert command.startswith("# kmixer train") and "model.blocks=1" in command
    assert (tmp_path / "saved_models" / "s" / "comparison" / "loss.png").is_file()
    again = kmixer_cli(*words, cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("(finished)") == 2
    changed = kmixer_cli(*words, "--set", "training.epochs=3", cwd=tmp_path)
    assert changed.returncode == 2
    assert "begun with training.epochs 150, received 3" in changed.stderr


def test_a_sweep_takes_up_values_added_to_its_grid(tmp_path):
    def settings(blocks):
        return settings_io.build({"model": {"blocks": blocks}})

    sweep.open_sweep(tmp_path, {"blocks=1": settings(1)})
    sweep.open_sweep(tmp_path, {"blocks=1": settings(1), "blocks=2": settings(2)})
    sweep.open_sweep(tmp_path, {"blocks=2": settings(2)})
    sweep.open_sweep(tmp_path, {"blocks=1": settings(1)})
    (tmp_path / "blocks=1").mkdir()
    (tmp_path / "blocks=1" / "config.yaml").touch()
    with pytest.raises(SettingsError, match=r"blocks=1: begun with model\.blocks 1, received 3"):
        sweep.open_sweep(tmp_path, {"blocks=1": settings(3)})


def test_settings_of_a_run_that_never_began_may_be_mended(tmp_path):
    for blocks in (1, 2):
        sweep.open_sweep(tmp_path, {"run": settings_io.build({"model": {"blocks": blocks}})})


@pytest.mark.parametrize("text", ["run: 3", "run: {model: {blokcs: 2}}", "- 1"])
def test_a_damaged_sweep_file_is_told(tmp_path, text):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"sweep\.yaml: "):
        sweep.open_sweep(tmp_path, {"run": settings_io.build()})


def test_only_what_a_killed_run_left_is_cleared(tmp_path):
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "labels.txt").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    for name in ("killed", "mine", "absent"):
        sweep.clear(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_run_that_diverges_does_not_end_the_sweep(kmixer_cli, image_folder, tmp_path):
    done = kmixer_cli(
        "sweep", image_folder, *FLAGS, "--set", "optimizer.name=sgd", "--grid",
        "optimizer.learning_rate=1e30,0.01", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 of 2 runs failed: learning_rate=1e+30 (exit code 3)" in done.stderr
    assert "validation split: learning_rate=0.01," in done.stdout
