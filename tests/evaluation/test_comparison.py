"""Runs side by side: from the command line and by hand-checked numbers."""

import csv
import io
import re
import shutil

import pytest

from changed_run import changed_run
from kmixer.config import loading
from kmixer.errors import RunError
from kmixer.evaluation import comparison, figures
from kmixer.files.printable import shorten
from kmixer.runs.run import Run


@pytest.fixture(scope="module")
def root(trained_run, tmp_path_factory):
    """Two finished runs, `a` and `b`, that differ in their seed and model."""
    root = tmp_path_factory.mktemp("runs")
    changed_run(trained_run, root / "a", training={"seed": 1})
    changed_run(trained_run, root / "b", model={"name": "mlp", "hidden_dims": [4]})
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
        (lambda run: (run / "metrics.json").write_text("{"), r"a/metrics\.json: damaged"),
        (
            lambda run: (run / "metrics.json").write_text("{}"),
            r"a/metrics\.json: damaged, or of another version: dataset",
        ),
        (lambda run: (run / "history.csv").write_text("epoch\nx\n"), r"a/history\.csv: damaged"),
        (lambda run: (run / "history.csv").write_bytes(b"\xff"), r"a/history\.csv: cannot be read"),
        (lambda run: edit(run / "history.csv", r"(?s)(.*?\n).*", r"\1"), "is empty"),
        (lambda run: edit(run / "history.csv", r"[\d.]+\n", "nan\n"), "number that is not finite"),
        (
            lambda run: edit(run / "metrics.json", r'"loss": [0-9.]+', '"loss": null'),
            "best.train.loss: received None, expected number",
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
        runs = comparison.find_runs([copies / "a"])
        comparison.table(runs)
        comparison.curves(runs)
    assert "\n" not in str(caught.value)


def test_a_glob_without_runs_is_refused(tmp_path):
    with pytest.raises(RunError, match="no finished run matches"):
        comparison.find_runs([tmp_path / "nothing-*"])


def test_the_table_holds_the_runs_own_figures(root):
    runs = comparison.find_runs([root])
    for row, run in zip(comparison.table(runs), runs, strict=True):
        assert tuple(row) == comparison.COLUMNS
        assert row["test_accuracy"] == run.metrics["best"]["test"]["accuracy"]
        assert row["last_test_accuracy"] == run.metrics["last"]["test"]["accuracy"]
        assert row["parameters"] == run.metrics["trainable_parameters"]
    assert [row["run"] for row in comparison.table(runs)] == ["a", "b"]


def test_csv_and_markdown_read_back(root):
    rows = comparison.table(comparison.find_runs([root]))
    read = list(csv.DictReader(io.StringIO(comparison.as_csv(rows))))
    assert [float(row["test_accuracy"]) for row in read] == [row["test_accuracy"] for row in rows]
    text = comparison.as_markdown(["run", "x"], [["a|b", 1]])
    assert text == "| run | x |\n| --- | ---: |\n| a\\|b | 1 |\n"


def test_runs_of_one_name_are_told_apart(copies):
    shutil.copytree(copies / "a", copies / "other" / "a")
    runs = comparison.find_runs([copies / "a", copies / "other"])
    assert comparison.run_names(runs) == ["copies/a", "other/a"]


def test_below_a_folder_what_is_no_finished_run_is_left_out_with_a_word(copies):
    (copies / "a" / "metrics.json").unlink()
    shutil.copytree(copies / "b", copies / "damaged")
    (copies / "damaged" / "metrics.json").write_text("{}")
    (copies / "foreign").mkdir()
    (copies / "foreign" / "config.yaml").write_text("some: thing")
    lines = []
    assert [run.folder.name for run in comparison.find_runs([copies], lines.append)] == ["b"]
    assert len(lines) == 3 and "kmixer resume" in lines[0]
    assert "of another version" in lines[1] and "foreign: not a run" in lines[2]
    with pytest.raises(RunError, match="incomplete"):
        comparison.find_runs([copies / "a"])


def test_only_settings_that_all_have_and_that_differ_are_told(root):
    differing = comparison.differences(comparison.find_runs([root]))
    assert differing["training.seed"] == [1, 0] and differing["model.name"] == ["mixer", "mlp"]
    assert "model.blocks" not in differing and "training.epochs" not in differing


def test_a_section_that_only_one_run_has_switched_on_is_told():
    def run(changes):
        return Run(None, loading.build_settings({"schedule": {"name": "constant"}}, changes), {})

    differing = comparison.differences([run({}), run({"plateau": {"patience": 3}})])
    assert differing["plateau.patience"] == [None, 3] and "plateau" not in differing


def test_the_best_run_is_told_for_each_data_set():
    rows = [
        {"dataset": d, "validation_accuracy": a} for d, a in (("x", 0.1), ("y", 0.9), ("x", 0.2))
    ]
    assert comparison.best_rows(rows) == {"x": rows[2], "y": rows[1]}


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
    assert shorten("short", 56) == "short"
    shortened = shorten(name, 56)
    assert shortened.startswith("learning_rate=0.01,x") and shortened.endswith("x,seed=2")
    assert len(shortened) == 57


def test_a_link_that_leads_nowhere_is_passed_over(copies):
    (copies / "latest[1]").symlink_to(copies / "gone")
    assert len(comparison.find_runs([f"{copies}/*"])) == 2


def test_a_label_that_begins_with_an_underscore_is_in_the_legend():
    figure = figures.overlaid([[{"epoch": 1, "loss": 1.0}]], ["_x"], "loss", "t")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [" _x"]


def test_compare_command_writes_everything_asked_for(run_command, root, tmp_path):
    done = run_command(
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
