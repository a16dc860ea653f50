"""The processes that kmixer starts: no other module starts one.

What lies in the working folder may come from anybody: a downloaded run, say, with a `numpy.py`.
Nothing of it is run: Python is started without that folder on its path, programs by their absolute
path, and both with an environment whose search paths are absolute.

A Python process that is started here ends when the one that started it does, whichever way: its
stdin closes then, and Linux kills it besides, should it be inside a library that holds Python up.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent  # the folder that `kmixer` is imported from
# Variables that name folders or files to load code from. An empty entry is the working folder.
SEARCH_PATHS = (
    "PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
    "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP",
)  # fmt: skip
SAFE = {"PYTHONSAFEPATH": "1"}  # for the Python processes that libraries start
PR_SET_PDEATHSIG = 1  # of Linux: the signal that a process gets when its parent ends


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which no search path leads into the working folder.

    Args:
        environment: of a process; `os.environ`, say.
    """
    cleaned = dict(environment) | SAFE
    for name in SEARCH_PATHS:
        if name in cleaned:
            entries = [e for e in cleaned[name].split(os.pathsep) if os.path.isabs(e)]
            if name == "PYTHONPATH" and _leads_home(cleaned[name]):
                entries.append(str(HOME))
            cleaned[name] = os.pathsep.join(entries)
        if not cleaned.get(name):
            cleaned.pop(name, None)
    return cleaned


def _leads_home(value: str) -> bool:
    """Return whether a relative entry of a search path leads to where kmixer itself lies."""
    relative = (entry for entry in value.split(os.pathsep) if entry and not os.path.isabs(entry))
    return any(Path(entry).resolve() == HOME for entry in relative)


def start_python(
    module: str, *words: str, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start an installed module as `python -m` does, in a process that ends with this one.

    Args:
        module: its name.
        words: its arguments.
        environment: of the process; default: this one's.
        options: of `subprocess.Popen`, except `stdin`. The process ends when its stdin is closed,
            which `communicate` does: use `wait`.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, module, *words],
        stdin=subprocess.PIPE,
        env=isolated(os.environ if environment is None else environment),
        **options,
    )


def run_python(module: str, *words: str, **options: Any) -> int:
    """Run an installed module as `start_python` starts it, and return its exit code.

    It is killed if this process is interrupted meanwhile.
    """
    process = start_python(module, *words, **options)
    try:
        return process.wait()
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """Kill a process that `start_python` started, unless it has ended, and take leave of it."""
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()


def find_program(*names: str) -> str | None:
    """Return the absolute path of the first of these programs that is installed; None: none is.

    Args:
        names: such as `git`, looked for in the absolute folders of `PATH`, or absolute paths.
    """
    folders = isolated(os.environ).get("PATH", os.defpath)
    paths = (shutil.which(name, path=folders) for name in names)
    # Windows looks into the working folder first
    return next((path for path in paths if path and os.path.isabs(path)), None)


def start_program(path: str, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start another program, which goes on beside this one.

    Args:
        path: what `find_program` returned.
        words: its arguments.
        options: of `subprocess.Popen`.
    """
    return subprocess.Popen([path, *words], env=isolated(os.environ), **options)


def run_program(path: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run another program to its end, without stdin, and return its exit code and its output.

    Args:
        path: what `find_program` returned.
        words: its arguments.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.run(
        [path, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", check=False, env=isolated(os.environ),
    )  # fmt: skip


def program_output(name: str, *words: str) -> str | None:
    """Run another program and return its stdout; None if it is not installed, or fails.

    Args:
        name: see `find_program`.
        words: its arguments.
    """
    path = find_program(name)
    if path is None:
        return None
    try:
        done = run_program(path, *words)
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()


def main(module: str, *words: str) -> None:
    """Run a module inside the new process; see `start_python`."""
    end_with_parent()
    sys.argv = [module, *words]
    import runpy

    runpy.run_module(module, run_name="__main__", alter_sys=True)


def end_with_parent() -> None:
    """End this process when the one that started it has ended."""
    if sys.platform == "linux":
        import_module("ctypes").CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_when_stdin_closes, daemon=True).start()


def _end_when_stdin_closes() -> None:
    while os.read(0, 1024):  # sys.stdin would keep the interpreter from closing it
        pass
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
