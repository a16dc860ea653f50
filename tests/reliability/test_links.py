"""Nothing is written through a link: a run's files and folders may be those of anybody."""

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from in_process_export import without_processes
from interrupted_training import HARD, Signal, build, cut
from tiny_settings import tiny_flags
from tuning_search import tiny_search

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")

# Commands that write into a run; {run} is its folder, {images} are images.
ON_A_RUN = {
    "evaluate": ["evaluate", "{run}"],
    "evaluate --flip": ["evaluate", "{run}", "--flip-averaging"],
    "report": ["report", "{run}"],
    "compare": ["compare", "{run}", "{run}", "--csv", "{run}/table.csv", "--markdown", "{run}/table.md"],
    "predict": ["predict", "{run}", "{images}", "--csv", "{run}/predictions.csv"],
    "export tflite": ["export", "{run}", "--format", "tflite"],
    "data show": ["data", "show", "{images}", "--out", "{run}/samples.png"],
    "push": ["push", "{run}"],
    "models": ["models", "b16", "--out", "{run}/model.png"],
}  # fmt: skip


def contents(folder):
    """Return what lies below a folder: of each path its kind, or its content and time."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            found[name] = os.readlink(path) if path.is_symlink() else "folder"
        else:
            digest = sha256(path.read_bytes()).hexdigest()
            found[name] = (digest, path.stat().st_mtime_ns, path.stat().st_mode)
    return found


def written(before, after):
    """Return the files, and the folders below, that a command has written (into)."""
    files = [name for name, what in after.items() if what != "folder" and before.get(name) != what]
    parents = {str(parent) for name in files for parent in Path(name).parents}
    return files, sorted(parents - {"."})


class Attack:
    """Copies of a folder in which what a command writes is a link to a canary outside."""

    def __init__(self, source, root, run):
        self.source, self.root, self.run, self.tried, self.touched = source, root, run, 0, []

    def all_kinds(self):
        """Run the command once as it is, and once for each kind of link; return how often."""
        copy = self._copy()
        before = contents(copy)
        done = self.run(copy)
        assert done.returncode == 0, done.stderr
        files, folders = written(before, contents(copy))
        assert files
        files += [".lock", *self._guessable(files)]
        for kind in ("link", "hard link", "dangling link", "link to a folder"):
            self._try(kind, files)
        for folder in folders:
            self._try("folder that leads outside", [folder])
        return self.tried

    def _copy(self):
        """Copy the folder, under its name, to where the last copy lay: paths in it stay valid."""
        copy = self.root / "work" / "saved_models" / self.source.name
        shutil.rmtree(copy.parent, ignore_errors=True)
        return Path(shutil.copytree(self.source, copy))

    def _guessable(self, files):
        """Return the temporary names of earlier versions."""
        for name in files:
            path = Path(name)
            yield str(path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}"))
            yield str(path.with_name(f".{path.stem}.{os.getpid()}.probe"))

    def _try(self, kind, names):
        copy, outside = self._copy(), self.root / "outside"
        shutil.rmtree(outside, ignore_errors=True)
        outside.mkdir()
        for number, name in enumerate(names):
            self._replace(kind, copy / name, outside / f"canary-{number}")
        before = contents(outside)
        done = self.run(copy)
        after = contents(outside)
        self.tried += len(names)
        changed = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        self.touched += [f"{kind}: {names[0]}… {name}" for name in changed]
        assert "Traceback" not in done.stderr and "(--debug" not in done.stderr, (kind, done.stderr)
        if kind == "folder that leads outside":
            assert done.returncode == 1 and "is a link" in done.stderr, (names, done)

    def _replace(self, kind, path, canary):
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "folder that leads outside":
            canary.mkdir()
            if path.is_dir():
                shutil.copytree(path, canary, dirs_exist_ok=True)
                shutil.rmtree(path)
            path.symlink_to(canary)
            return
        if kind == "link to a folder":
            canary.mkdir()
        elif kind != "dangling link" or path.is_file():  # what is read has to be there
            canary.write_bytes(path.read_bytes() if path.is_file() else b"canary")
        path.unlink(missing_ok=True)
        if kind == "hard link":
            path.hardlink_to(canary)
        else:
            path.symlink_to(canary)


def attack(source, root, command):
    """Attack a command on copies of a folder; return (links tried, canaries touched)."""
    attacked = Attack(source, root, command)
    attacked.all_kinds()
    return attacked.tried, attacked.touched


@pytest.fixture
def run_on(run_command, image_folder):
    """A function that returns a function of a run's folder: it runs the command on it."""

    def on(words):
        def run(folder):
            filled = [word.format(run=folder, images=image_folder) for word in words]
            with without_processes():
                return run_command(*filled)

        return run

    return on


@pytest.mark.whole
@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_a_command_writes_through_no_link(trained_run, tmp_path, run_on, name):
    tried, touched = attack(trained_run.folder, tmp_path, run_on(ON_A_RUN[name]))
    assert tried >= 10 and touched == []


@pytest.mark.slow
def test_no_command_on_a_run_writes_through_a_link(trained_run, tmp_path, run_on, tiny, saw):
    total, touched = 0, []
    begun = cut(build(tiny, *HARD, "training.track=tensorboard"), tmp_path, Signal(1, 1)).folder
    commands = [(trained_run.folder, run_on(words)) for words in ON_A_RUN.values()]
    for source, command in [*commands, (begun, run_on(["resume", "{run}"]))]:
        tried, found = attack(source, tmp_path, command)
        total, touched = total + tried, touched + found
    assert touched == []
    saw("links", f"0 canaries touched, {total:,} links tried")


@pytest.mark.torture
@pytest.mark.parametrize("name", ["keras-tuner", "optuna", "sweep"])
def test_no_search_writes_through_a_link(kmixer_cli, image_folder, tmp_path, saw, name):
    words = tiny_search(
        image_folder, "--trials", 1, "--seed", 1, name="s", space=("model.blocks=1,2",)
    )
    words += ["--engine", name]
    if name == "sweep":
        flags = tiny_flags(training={"epochs": 1})
        words = ["sweep", image_folder, *flags, "--grid", "model.blocks=1", "--name", "s"]
    (tmp_path / "s").mkdir()
    # the search's own folder, `saved_models/s`, may be reached through links
    tried, touched = attack(
        tmp_path / "s",
        tmp_path,
        lambda folder: kmixer_cli(*words, cwd=folder.parent.parent, timeout=600),
    )
    assert touched == []
    saw(f"links of {name}", f"0 canaries touched, {tried:,} links tried")
