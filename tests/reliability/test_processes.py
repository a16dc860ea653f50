"""What lies in the working folder is never run: each process is started by `kmixer/processes.py`."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kmixer import processes
from kmixer.processes import HOME, isolated, program_output, run_python

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted([*(ROOT / "kmixer").rglob("*.py"), *(ROOT / "cli").rglob("*.py")])
STARTER = "kmixer/processes.py"

# Modules, and functions of `os`, that start processes or replace this one.
MODULES = {
    "subprocess",
    "multiprocessing",
    "pty",
    "popen2",
    "commands",
    "pexpect",
    "sh",
    "ptyprocess",
}
OF_OS = {"system", "popen", "fork", "forkpty", "startfile"}  # besides exec…, spawn…, posix_spawn…
NAMES = {
    "ProcessPoolExecutor",
    "InterpreterPoolExecutor",
    "create_subprocess_exec",
    "create_subprocess_shell",
}
STARTERS = {"start_python", "run_python", "start_program", "run_program", "program_output"}
# Every place that starts a process, with what it starts.
PLACES = {
    "cli/subprocesses.py": ["start_python", "start_python"],  # kmixer train, kmixer export
    "kmixer/exporting/browser.py": ["start_program"],  # Chromium
    "kmixer/exporting/c_compiler.py": ["run_program", "run_program"],  # its version, a header
    "kmixer/exporting/subprocesses.py": ["start_python"],  # a conversion, a verification
    "kmixer/runs/provenance.py": ["program_output"],  # git
    "kmixer/tuning/workers/process.py": ["start_python"],  # a trial
    "kmixer/tuning/workers/resources.py": ["program_output"],  # nvidia-smi
}
CONSTANTS = {
    "PIPE",
    "DEVNULL",
    "STDOUT",
    "TimeoutExpired",
    "Popen",
}  # of `subprocess`, start nothing


def started(path):
    """Yield what a file names that starts processes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            owner = getattr(getattr(called, "value", None), "id", "")
            if name in NAMES or (owner in {"os", "posix"} and starts(name)):
                yield name
            elif owner in MODULES:
                yield f"{owner}.{name}"
        elif isinstance(node, ast.ImportFrom):
            names, module = {alias.name for alias in node.names}, (node.module or "").split(".")[0]
            yield from names & NAMES
            if module in {"os", "posix"}:
                yield from filter(starts, names)
            if module in MODULES:
                yield from names - CONSTANTS


def starts(name):
    """Say whether a function of `os` starts a process, or replaces this one by another program."""
    return name in OF_OS or name.startswith(("exec", "spawn", "posix_spawn"))


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess\nsubprocess.run(['ls'])", "import os\nos.system('ls')",
        "from subprocess import run\nrun(['ls'])", "import os\nos.execvp('ls', ['ls'])",
        "import multiprocessing\nmultiprocessing.Process()", "from os import popen\npopen('ls')",
        "from multiprocessing.pool import Pool\nPool()",
        "from concurrent.futures import ProcessPoolExecutor as P\nP", "import os\nos.fork()",
        "import asyncio\nasyncio.create_subprocess_exec('ls')", "import pty\npty.spawn('sh')",
        "import concurrent.futures as c\nc.ProcessPoolExecutor()",
    ],
)  # fmt: skip
def test_the_search_for_what_starts_processes_finds_it(tmp_path, line):
    (tmp_path / "a.py").write_text(line)
    assert list(started(tmp_path / "a.py"))


def test_one_module_starts_processes_and_a_few_ask_it_to():
    places = {}
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if name != STARTER:
            assert list(started(path)) == [], f"{name} starts a process: use kmixer/processes.py"
        calls = [
            getattr(node.func, "attr", getattr(node.func, "id", ""))
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        ]
        asked = [call for call in calls if call in STARTERS]
        if asked and name != STARTER:
            places[name] = sorted(set(asked)) if name.endswith("provenance.py") else asked
    assert places == PLACES


CANARY = "import os, pathlib; pathlib.Path(os.environ['CANARY'], __name__.split('.')[0]).touch()\n"
STOOD_IN_FOR = (
    "numpy", "keras", "tensorflow", "typer", "rich", "json", "kmixer", "yaml", "pydantic", "runpy",
    "zipfile", "h5py", "sitecustomize", "usercustomize", "PIL", "matplotlib", "jax_plugins",
    "ctypes", "tempfile", "random", "onnx", "ai_edge_litert", "torch", "click", "threading",
)  # fmt: skip


@pytest.fixture
def hostile_folder(tmp_path, monkeypatch):
    """A folder of modules, programs and settings that leave a canary when they are run."""
    folder, canaries = tmp_path / "hostile", tmp_path / "canaries"
    canaries.mkdir()
    for below in ("", "src", "lib/python/site-packages"):
        (folder / below).mkdir(parents=True, exist_ok=True)
        for name in STOOD_IN_FOR:
            (folder / below / f"{name}.py").write_text(CANARY)
    for name in ("git", "nvidia-smi", "python", "python3", "gcc", "ptxas"):
        program = folder / name
        program.write_text(f"#!/bin/sh\ntouch {canaries}/{name}\n")
        program.chmod(0o755)
    monkeypatch.setenv("CANARY", str(canaries))
    monkeypatch.chdir(folder)
    return folder, canaries


ENVIRONMENTS = {
    "plain": {},
    "an empty entry": {"PYTHONPATH": os.pathsep},
    "an empty entry at the end": {"PYTHONPATH": f"/nowhere{os.pathsep}"},
    "a dot": {"PYTHONPATH": "."},
    "a relative folder": {"PYTHONPATH": f"src{os.pathsep}./src"},
    "a start-up file": {"PYTHONSTARTUP": "numpy.py"},
    "a base of the user": {"PYTHONUSERBASE": "."},
    "programs": {"PATH": f"{os.pathsep}.{os.pathsep}{os.environ['PATH']}"},
    "libraries": {"LD_LIBRARY_PATH": os.pathsep},
    "compiled files": {"PYTHONPYCACHEPREFIX": "cache"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_child_runs_nothing_of_the_working_folder(hostile_folder, name):
    _, canaries = hostile_folder
    code = run_python("json.tool", "--help", environment=os.environ | ENVIRONMENTS[name])
    assert code == 0 and list(canaries.iterdir()) == []


@pytest.mark.parametrize("name", ["an empty entry", "a dot", "a relative folder", "programs"])
def test_programs_are_not_looked_for_in_the_working_folder(hostile_folder, monkeypatch, name):
    _, canaries = hostile_folder
    for variable, value in ENVIRONMENTS[name].items():
        monkeypatch.setenv(variable, value)
    for program in ("git", "nvidia-smi"):
        program_output(program, "--version")
    assert list(canaries.iterdir()) == []


def test_an_environment_keeps_what_is_absolute():
    paths = os.pathsep.join(["", "/a", "b", "./c", "/d"])
    cleaned = isolated({"PYTHONPATH": paths, "LD_LIBRARY_PATH": ":", "HOME": ".", "PATH": "/bin:."})
    assert cleaned == {
        "PYTHONPATH": f"/a{os.pathsep}/d", "HOME": ".", "PATH": "/bin", "PYTHONSAFEPATH": "1",
    }  # fmt: skip


def test_kmixer_is_found_where_a_relative_path_leads_to_it(monkeypatch):
    monkeypatch.chdir(HOME.parent)
    assert isolated({"PYTHONPATH": HOME.name})["PYTHONPATH"] == str(HOME)


def test_a_child_gets_its_words_and_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "child.py").write_text(
        textwrap.dedent("""
        import pathlib, sys
        pathlib.Path(sys.argv[1]).write_text(f"{__name__} {sys.argv[2:]} {sys.flags.safe_path}")
    """)
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_python("child", str(tmp_path / "said"), "a b", "") == 0
    assert (tmp_path / "said").read_text() == "__main__ ['a b', ''] True"


@pytest.mark.parametrize("name", ["plain", "an empty entry", "a dot", "a relative folder"])
@pytest.mark.parametrize("words", [["--version"], ["models"]], ids=" ".join)
def test_a_command_imports_nothing_from_the_working_folder(hostile_folder, kmixer_cli, words, name):
    folder, canaries = hostile_folder
    for each in ("sitecustomize", "usercustomize"):  # Python runs them before any of kmixer
        for path in folder.rglob(f"{each}.py"):
            path.unlink()
    done = kmixer_cli(*words, cwd=folder, env={"CANARY": str(canaries)} | ENVIRONMENTS[name])
    assert done.returncode == 0, done.stderr
    assert list(canaries.iterdir()) == []


def test_figures_take_no_settings_from_the_working_folder(hostile_folder):
    folder, canaries = hostile_folder
    (folder / "matplotlibrc").write_text("text.usetex: True\naxes.titlesize: 99\n")
    code = "import matplotlib, kmixer.evaluation.figures; r = matplotlib.rcParams\n" \
        "assert not r['text.usetex'] and r['axes.titlesize'] == 'large', r"  # fmt: skip
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(canaries.iterdir()) == []


def test_starting_is_told_apart_from_this_interpreter():
    assert Path(sys.executable).is_absolute() and processes.HOME == ROOT


@pytest.mark.slow
def test_an_export_in_a_hostile_run_runs_nothing_of_it(
    hostile_folder, trained_run, kmixer_cli, saw
):
    import shutil

    folder, canaries = hostile_folder
    for each in ("sitecustomize", "usercustomize"):
        for path in folder.rglob(f"{each}.py"):
            path.unlink()
    shutil.copytree(trained_run.folder, folder, dirs_exist_ok=True)
    tried = 0
    words = (["export", ".", "--format", "tflite"], ["evaluate", "."], ["report", "."])
    for each in words:
        for name in ("plain", "an empty entry", "a relative folder", "programs"):
            done = kmixer_cli(*each, cwd=folder, env={"CANARY": str(canaries)} | ENVIRONMENTS[name])
            assert done.returncode == 0, done.stderr
            tried += len(STOOD_IN_FOR)
    assert list(canaries.iterdir()) == []
    saw("working folder", f"{tried} modules of the working folder, none of them imported")
