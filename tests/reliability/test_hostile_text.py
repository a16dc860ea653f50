"""Text of a foreign run, of a folder's names and of the command line: shown, never obeyed."""

import ast
import csv
import re
from pathlib import Path

import pytest
import yaml

from hostile_text import (
    ALL,
    CLASSES,
    FORMULAS,
    LINES,
    MARKUP,
    TERMINAL,
    dangerous_cells,
    hostile_images,
    hostile_run,
    strange_html,
    strange_markdown,
    unprintable,
)
from kmixer.files.markdown import markdown, markdown_code, markdown_table
from kmixer.files.printable import printable
from kmixer.files.text import csv_text, read_csv

NAME = TERMINAL.replace("/", "\u2215")  # of a folder
ROOT = Path(__file__).parents[2]
TEXTS = (
    TERMINAL,
    MARKUP,
    *FORMULAS,
    LINES,
    ALL,
    "",
    "`",
    "--",
    "~~x~~",
    "1. x",
    "# x",
    "\udcff\ud800",
)


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_left_that_a_terminal_obeys(text):
    assert not unprintable(printable(text)) and "\n" not in printable(text)


@pytest.mark.parametrize(
    "name", ["Mädchen", "靴", "کفش\u200cها", "👩\u200d🚀", "Ångström no. 5", ""]
)
def test_honest_names_stay_as_they_are(name):
    assert printable(name) == name


def test_an_invisible_letter_in_a_name_is_seen():
    assert printable("sho\u200ces") == r"sho\u200ces" and printable("a\u3164b") == r"a\u3164b"


@pytest.mark.parametrize("text", TEXTS)
def test_a_table_reads_back_and_holds_no_formula(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(csv_text(["a", text], [{"a": text, text: -1.5}] if text != "a" else []))
    assert not dangerous_cells(path)
    assert read_csv(path) == [{"a": printable(text), printable(text): "-1.5"}]


@pytest.mark.parametrize("text", TEXTS)
def test_markdown_shows_a_text_and_nothing_else(text):
    for lines in (f"{markdown(text)}\n", f"# {markdown(text)}\n", f"a\n{markdown(text)}\n",
                  f"By {markdown_code(text)}.\n", markdown_table([[text, text], [text, 1]])):  # fmt: skip
        assert not strange_markdown(lines), lines
        assert "<" not in lines


def test_names_as_people_write_them_are_the_same_in_markdown():
    for name in ("fmnist-1", "lr=0.01,blocks=2", "T-shirt/top", "ankle_boot", "90.12", "Mädchen"):
        assert markdown(name) == name


def test_every_command_prints_through_the_terminal():
    # tune.py prints the shipped search space, main.py the version and a traceback
    doors = {"tune.py": "typer.echo", "streams.py": "sys.stderr.write", "main.py": "typer.echo"}
    for path in sorted((ROOT / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                prints = called in ("print", "typer.echo", "typer.secho") or called.endswith(
                    ("console.print", "console.log", "stdout.write", "stderr.write")
                )
                own = path.name == "terminal.py" or called == doors.get(path.name)
                assert not prints or own, f"{path.name}: {ast.unparse(node)}"


@pytest.fixture(scope="module")
def hostile(trained_run, image_folder, tmp_path_factory):
    """A run and an image folder whose every text is hostile; the run's classes are the folder's."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile_run(trained_run, folder / "other", map(printable, CLASSES))
    return (
        hostile_run(trained_run, folder / f"=--- {NAME}\n<b>"),
        hostile_images(image_folder, folder / f"-{NAME}\n<i>"),
    )


def _commands(run, images, folder):
    """Return the words of each command that shows a run or a folder, by its name."""
    return {
        "compare": ["compare", run, run.with_name("other"), "--csv", folder / "compared.csv",
                    "--markdown", folder / "compared.md", "--out", folder / "pictures"],
        "report": ["report", run, run.with_name("other"), "--out", folder / "report.html"],
        "evaluate": ["evaluate", run, images, "--out", folder / "evaluation"],
        "evaluate its own": ["evaluate", run, "--out", folder / "evaluation"],
        "predict": ["predict", run, images / "test", "--csv", folder / "predicted.csv"],
        "predict nothing": ["predict", run, f"{ALL}.png"],
        "resume": ["resume", run],
        "data info": ["data", "info", images],
        "data show": ["data", "show", images, "--out", folder / "show.png"],
        "export": ["export", run.with_name("other"), "--data", images, "--format", "tflite", "--out", folder / "export"],
        "tune": ["tune", images, "--search", f"model.blocks={ALL}"],
        "tune, another preset": ["tune", ALL, "--preset", ALL],
        "tune --show-space": ["tune", "--show-space"],
        "sweep": ["sweep", images, "--grid", f"model.name={ALL}"],
        "benchmark": ["benchmark", ALL],
        "presets": ["presets", ALL],
        "models": ["models", ALL],
        "serve": ["serve", run.with_name(f"{NAME[:40]} no such")],
        "import-weights": ["import-weights", run / "labels.txt", "--out", folder / "imported"],
        "train": ["train", ALL, "--set", f"{ALL}=1"],
        "usage": [ALL],
        "--debug": ["--debug", "train", ALL],
    }  # fmt: skip


@pytest.mark.whole
def test_no_command_lets_a_foreign_text_through(hostile, tmp_path, run_command, saw):
    run, images = hostile
    through, commands = {}, _commands(run.folder, images, tmp_path)
    for name, words in commands.items():
        for options in ([], ["--json"]) if name in ("compare", "evaluate", "predict") else ([],):
            done = run_command(*words, *options, cwd=tmp_path)
            if found := unprintable(done.stdout + done.stderr):
                through[name] = (found, (done.stdout + done.stderr)[-1000:])
            assert "Traceback" not in done.stderr or name == "--debug", done.stderr
            expected = name in WORKS
            assert (done.returncode == 0) == expected, (name, done.returncode, done.stderr)
    assert not through
    page = (tmp_path / "report.html").read_text()
    assert not strange_html(page) and not unprintable(page)
    markdown_files = [tmp_path / "compared.md", *tmp_path.rglob("README.md")]
    for path in markdown_files:
        _check_card(path)
    tables = sorted(tmp_path.rglob("*.csv"))
    for path in tables:
        assert not dangerous_cells(path), path
        plain = list(csv.reader(path.read_text().splitlines()))
        assert len(read_csv(path)) == len(plain) - 1 and len({len(row) for row in plain}) == 1
    names = {row["class"] for row in read_csv(tmp_path / "evaluation" / "mistakes.csv")}
    assert names <= {printable(name) for name in run.class_names}
    saw(
        "hostile text",
        f"{len(commands)} commands, none printed a control character; report: 0 foreign tags;"
        f" {len(markdown_files)} of {len(markdown_files)} cards and Markdown tables and"
        f" {len(tables)} of {len(tables)} CSV files read back, 0 formulas",
    )


WORKS = {
    "compare", "report", "evaluate", "predict", "data info", "data show", "export", "tune --show-space",
}  # fmt: skip


def _check_card(path):
    text = path.read_text()
    assert not unprintable(text), path
    if text.startswith("---\n"):
        front, text = text[4:].split("\n---\n", 1)
        assert yaml.safe_load(front)["pipeline_tag"] == "image-classification"
    assert not strange_markdown(text), (path, strange_markdown(text))
    for code in re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S):
        ast.parse(code)
