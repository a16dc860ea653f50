"""Run a function in a Python process of its own, with a Keras backend of its own.

The process runs this module, with the function's module and name: both are taken from the function
itself, so that a moved or renamed one still runs. It ends when this process does.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any

from .. import processes
from ..errors import KmixerError, RunError, describe, process_failure

Job = dict[str, Any]

PROGRESS = "KMIXER_PROGRESS"  # the variable that names the file of `report`
POLL_SECONDS = 0.2
CPU_ONLY = {"CUDA_VISIBLE_DEVICES": ""}  # files are for any machine; timings are the CPU's


def call(
    function: Callable[[Job], Job | None],
    job: Job,
    *,
    backend: str | None = None,
    task: str,
    on_progress: Callable[[str], Any] = lambda message: None,
) -> Any:
    """Call a function in a new process, on the CPU, and return its result.

    Args:
        function: defined at the top of a module.
        job: its argument, which has to be JSON-able.
        backend: the Keras backend of the process; None: as configured.
        task: the task in words, for the error.
        on_progress: called with what the function says of its progress with `report`.

    Returns:
        The function's result, which has to be JSON-able.

    Raises:
        RunError: the process failed; its stderr is the error's cause.
    """
    with tempfile.TemporaryDirectory() as folder:
        job_file, result_file = Path(folder, "job.json"), Path(folder, "result.json")
        job_file.write_text(json.dumps(job), encoding="utf-8")
        words = (function.__module__, function.__name__, str(job_file), str(result_file))
        code, stderr = _run(words, Path(folder), backend, on_progress)
        if code:
            raise RunError(f"{task}: {process_failure(code, stderr)}") from RuntimeError(stderr)
        return json.loads(result_file.read_text(encoding="utf-8"))


def report(message: str) -> None:
    """Say, in the new process, how far its function is; see `call`."""
    if path := os.environ.get(PROGRESS):
        Path(path).write_text(message, encoding="utf-8")


def _run(
    words: Sequence[str], folder: Path, backend: str | None, on_progress: Callable[[str], Any]
) -> tuple[int, str]:
    """Run this module in a new process, and return its exit code and what it wrote to stderr."""
    said, progress = folder / "stderr", folder / "progress"
    progress.touch()
    environment = os.environ | CPU_ONLY | {PROGRESS: str(progress)}
    environment |= {"KERAS_BACKEND": backend} if backend else {}
    with said.open("wb") as stderr:
        process = processes.start_python(
            __name__, *words, environment=environment, stdout=DEVNULL, stderr=stderr
        )
        try:
            code = _wait(process, progress, on_progress)
        finally:
            processes.end(process)
    return code, said.read_text(encoding="utf-8", errors="replace").strip()


def _wait(process: Popen[Any], progress: Path, on_progress: Callable[[str], Any]) -> int:
    """Wait until a process has ended, pass on what it reports, and return its exit code."""
    seen = ""
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except TimeoutExpired:
            message = progress.read_text(encoding="utf-8")
        if message not in ("", seen):  # empty while it is being written
            seen = message
            on_progress(message)


def main(module: str, name: str, job_file: str, result_file: str) -> None:
    """Call a function inside the new process; see `call`."""
    function = getattr(import_module(module), name)
    try:
        result = function(json.loads(Path(job_file).read_text(encoding="utf-8")))
    except KmixerError as error:  # one line, without its type
        sys.exit(describe(error))
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
