"""The documentation is generated or held to the code, so that it cannot rot."""

import doctest
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

import kmixer
import tiny_dataset
from kmixer import __version__
from kmixer.config import DataSettings
from kmixer.data.asked import remember_data
from kmixer.models import SIZES
from mixer_reference import official

ROOT = Path(__file__).parent.parent
PAGES = runpy.run_path(str(ROOT / "docs" / "generate"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_what_the_code_says(name):
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run: python docs/generate"


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


# The most files that one of each may take (docs/extending.md).
MOST_FILES = {
    "An augmentation": 3, "A model family": 5, "An export format": 2, "An optimizer": 3,
    "A callback": 3, "A tracker": 3, "A command": 2, "A data source": 2,
}  # fmt: skip


def checklists():
    """Return the paths of docs/extending.md by heading."""
    page = (ROOT / "docs" / "extending.md").read_text()
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    return {s.splitlines()[0]: re.findall(r"^- `([^`]+)`:", s, re.M) for s in sections}


@pytest.mark.parametrize("addition", MOST_FILES)
def test_an_addition_touches_few_files_that_all_exist(addition):
    paths = checklists()[addition]
    assert 0 < len(paths) <= MOST_FILES[addition]
    for path in paths:
        new = "<name>" in path
        where = (ROOT / path).parent if new else ROOT / path
        assert where.is_dir() if new else where.is_file(), path


def test_every_checklist_is_known():
    assert set(checklists()) == set(MOST_FILES)


# Files that name each shipped format, family, … and are not on the list: they would be forgotten.
ONE_HOME = {
    "openvino": ("kmixer/exporting/", {"kmixer/backend.py"}),
    "shift_mlp": ("kmixer/models/", {"kmixer/config/model.py"}),
    "cifar100": ("kmixer/data/sources/", set()),
    "lion": ("kmixer/training/optimizer.py", {"kmixer/config/optimizer.py"}),
}


@pytest.mark.parametrize("name", ONE_HOME)
def test_a_name_stands_in_its_own_files_only(name):
    home, others = ONE_HOME[name]
    for path in (ROOT / "kmixer").rglob("*.py"):
        relative = path.relative_to(ROOT).as_posix()
        if not relative.startswith(home) and relative not in others:
            assert not re.search(rf"['\"]{name}['\"]", path.read_text()), relative


GUIDES = [
    "README.md", "docs/index.md", "docs/guide.md", "docs/photos.md", "docs/reproduce.md",
    "docs/fine-tuning.md", "docs/chip.md",
]  # fmt: skip


@pytest.mark.parametrize("page", GUIDES)
def test_the_commands_of_a_guide_parse(page, run_command):
    """Every flag used in an example exists in that command's help."""
    text = (ROOT / page).read_text()
    helps = {}
    for line in re.findall(r"(?:`|^)(kmixer [^`\n]*)", text, re.M):
        words = line.split()[1:]
        if not words or words[0].startswith("-") or words[0].isupper():
            continue
        command = tuple(words[:2]) if words[0] == "data" else (words[0],)
        if command not in helps:
            helps[command] = run_command(*command, "--help", env={"COLUMNS": "200"}).stdout
        for flag in (word for word in words if word.startswith("--")):
            assert flag in helps[command], f"{line}: {flag}"


def _photos(folder, images):
    """Lay out the photos that the guides name, and a folder of others."""
    shutil.copytree(images, folder / "photos")
    (folder / "new").mkdir()
    Image.new("L", (30, 20), 90).save(folder / "new" / "1.png")


def _published(folder, images):
    """Lay out photos, and weights with the blocks that the guide freezes, but narrow ones."""
    _photos(folder, images)
    narrow = {"patch_size": 4, "blocks": 6, "hidden_dim": 16, "tokens_mlp_dim": 8,
              "channels_mlp_dim": 64}  # fmt: skip
    with patch.dict(SIZES, narrow=narrow):
        np.savez(folder / "Mixer-B_16.npz", **official("narrow"))


@dataclass(frozen=True)
class Walk:
    """What a test of a page's commands adds to them, and what they have to leave.

    Attributes:
        commands: how many it runs.
        more: words after a command, by its name; they make it small.
        leaves: a file that they leave.
        prepare: lays out what the page takes for granted, given a folder and that of the images.
        says: what the last one prints among other things.
        not_run: words of the commands that are left out.
        python_in: the folder in which the page's Python lines run; None: they are not run.
    """

    commands: int
    more: dict[str, str]
    leaves: str
    prepare: Callable[[Path, Path], None] | None = None
    says: str = ""
    not_run: tuple[str, ...] = ()
    python_in: str | None = None


FEW = "--epochs 1 --hidden-dim 4 --no-jit --set data.train_per_class=50"
FEW_SET = (
    "--set training.epochs=2 --set training.jit=false --set data.train_per_class=10"
    " --set data.validation_size=50"
)
INT8 = "export/tflite-int8"
WALKS = {
    "index": Walk(5, {"train": FEW}, "saved_models/fmnist-1/export/tflite/model.tflite"),
    "photos": Walk(
        6,
        {
            "train": "--preset photos-mixer --epochs 1 --batch-size 8 --hidden-dim 4 --blocks 1 --no-jit",
            "export": "--max-drop 100",
        },
        f"saved_models/photos/{INT8}/model.tflite",
        _photos,
        says="new/1.png",
        not_run=("tune", "serve"),
    ),
    "fine-tuning": Walk(
        5,
        {"finetune": "--epochs 1 --no-jit", "export": "--max-drop 100"},
        "saved_models/photos-b16/export/tflite-dynamic/model.tflite",
        _published,
    ),
    "chip": Walk(
        3,
        {"train": FEW, "export": "--max-drop 100"},
        f"saved_models/chip/{INT8}/manifest.json",
        says="saved_models/chip/example.png",
        not_run=("tune", "micro"),  # tests/exporting/test_micro.py
        python_in=f"saved_models/chip/{INT8}",
    ),
    "reproduce": Walk(
        6,
        {"reproduce": FEW_SET},
        "saved_models/pyramid-drop/fmnist-pyramid-strict-seed0/metrics.json",
        says="│ fmnist-pyramid │",
    ),
}


LONG = ("fine-tuning", "reproduce")


def _blocks(page, language):
    """Return the blocks of a page in a language, lines that go on joined."""
    text = (ROOT / "docs" / f"{page}.md").read_text().replace("\\\n", " ")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


@pytest.mark.whole
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if page in LONG else ()) for page in WALKS],
)
def test_the_commands_of_a_guide_run(page, run_command, image_folder, tmp_path, monkeypatch):
    """As they stand but for what a `Walk` says, one after the other."""
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it; a pipe is wide
    walk = WALKS[page]
    if walk.prepare:
        walk.prepare(tmp_path, image_folder)
    lines = [line for block in _blocks(page, "sh") for line in block.splitlines()]
    lines = [line.split()[1:] for line in lines if line.startswith("kmixer ")]
    lines = [words for words in lines if not set(words) & set(walk.not_run)]
    assert len(lines) == walk.commands
    for words in lines:
        done = run_command(*words, *walk.more.get(words[0], "").split(), cwd=tmp_path)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    assert (tmp_path / walk.leaves).is_file() and walk.says in done.stdout
    if walk.python_in:
        monkeypatch.chdir(tmp_path / walk.python_in)
        for code in _blocks(page, "python"):
            exec(code, {})


@pytest.mark.parametrize("page", ["reproduce", "fine-tuning", "chip"])
def test_the_figures_of_a_guide_stand_where_they_were_measured(page):
    """Every figure with a decimal or a thousand is one of the generated pages."""
    measured = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("results", "export"))
    text = re.sub(
        r"^```.*?^```|`[^`\n]*`", "", (ROOT / "docs" / f"{page}.md").read_text(), flags=re.S | re.M
    )
    number = r"(?<![\w.,])\d{1,3}(?:,\d{3})*(?:\.\d+)?(?![\w,.]*\d)"
    known = set(re.findall(number, measured))
    figures = {figure for figure in re.findall(number, text) if re.search("[.,]", figure)}
    assert figures and figures <= known, figures - known


def test_the_site_builds_without_a_warning_and_asks_for_nothing_elsewhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    for page in ("index.html", "photos.html", "chip.html", "cli.html", "adr/index.html"):
        html = (tmp_path / page).read_text()
        assert not re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"https?:", html), page


@pytest.mark.whole
def test_the_readmes_python_example_runs(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    monkeypatch.chdir(tmp_path)
    assert code.count("blocks=2") == 1
    exec(code.replace("blocks=2", SMALL), {})
    folder = tmp_path / "saved_models" / "fmnist-1"
    assert (folder / "metrics.json").is_file() and (folder / "report.html").is_file()


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    """Its cells as they stand, on a smaller model and fewer images."""
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell.get("outputs") for cell in cells)
    monkeypatch.chdir(tmp_path)
    names = {}
    for text in code:
        exec(text.replace("blocks=2, epochs=1", SMALL).replace("max_drop=3", "max_drop=100"), names)
    assert names["run"].metrics["epochs"] == 1 and names["small"].metrics["epochs"] == 2
    assert names["exported"].manifest["quantize"] == "int8"


# What a test trains in the place of an example's two blocks.
SMALL = """blocks=1, epochs=1, hidden_dim=4, patch_size=14, patch_stride=14, jit=False, settings={
    "data": {"train_per_class": 100, "validation_size": 100}}"""


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory):
    """A folder with what the docstrings' examples name: an interrupted run, an image, weights."""
    folder = tmp_path_factory.mktemp("examples")
    tiny_dataset.write_images(folder / "halves")
    old = ROOT / "tests" / "runs" / "format-2-unfinished"
    shutil.copytree(old, folder / "saved_models" / "interrupted")
    remember_data(DataSettings(name=str(folder / "halves")))  # as the training did
    Image.new("L", (60, 60), 90).save(folder / "shirt.png")
    np.savez(folder / "Mixer-S_32.npz", **official("s32", tokens=4))
    return folder


# In this order: what one trains, another one opens.
EXAMPLES = [
    "build_settings", "Settings", "train", "load_run", "list_runs", "Run.evaluate", "Run.explain",
    "Run.export", "Run.report", "resume", "import_weights",
]  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_public_name_runs(name, example_folder, monkeypatch):
    monkeypatch.chdir(example_folder)
    value = attrgetter(name)(kmixer)
    example = doctest.DocTestFinder(recurse=False).find(value, name, module=False, globs={})[0]
    assert example.examples
    result = doctest.DocTestRunner().run(example)
    assert result.failed == 0


def test_every_public_name_has_an_example():
    packages = {
        "augment",
        "datasets",
        "layers",
        "models",
        "tuning",
    }  # their classes have examples of their own
    assert {name.partition(".")[0] for name in EXAMPLES} == set(kmixer.__all__) - packages


def test_ci_and_readme_run_the_same_test_command():
    command = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest -n 2 --dist loadfile\n"
    assert command in (ROOT / "README.md").read_text()
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_shipped_file_names_this_machine():
    for path in ROOT.rglob("*"):
        if path.suffix in {".py", ".md", ".toml", ".yaml"} and ".venv" not in path.parts:
            assert str(ROOT) + "/" not in path.read_text(errors="replace"), path


def test_every_package_is_listed_for_the_wheel():
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    names = {"kmixer": "kmixer", "cli": "kmixer_cli", "configs": "kmixer_configs"}
    found = {
        ".".join(
            [
                names[path.parent.relative_to(ROOT).parts[0]],
                *path.parent.relative_to(ROOT).parts[1:],
            ]
        )
        for top in names
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert found == listed
