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
from subprocess import DEVNULL
from typing import Any

from .. import processes
from ..errors import RunError, process_failure

Job = dict[str, Any]

CPU_ONLY = {"CUDA_VISIBLE_DEVICES": ""}  # files are for any machine; timings are the CPU's


def call(
    function: Callable[[Job], Job | None], job: Job, *, backend: str | None = None, task: str
) -> Any:
    """Call a function in a new process, on the CPU, and return its result.

    Args:
        function: defined at the top of a module.
        job: its argument, which has to be JSON-able.
        backend: the Keras backend of the process; None: as configured.
        task: the task in words, for the error.

    Returns:
        The function's result, which has to be JSON-able.

    Raises:
        RunError: the process failed; its stderr is the error's cause.
    """
    with tempfile.TemporaryDirectory() as folder:
        job_file, result_file = Path(folder, "job.json"), Path(folder, "result.json")
        job_file.write_text(json.dumps(job), encoding="utf-8")
        words = (function.__module__, function.__name__, str(job_file), str(result_file))
        code, stderr = _run(words, Path(folder, "stderr"), backend)
        if code:
            raise RunError(f"{task}: {process_failure(code, stderr)}") from RuntimeError(stderr)
        return json.loads(result_file.read_text(encoding="utf-8"))


def _run(words: Sequence[str], said: Path, backend: str | None) -> tuple[int, str]:
    """Run this module in a new process, and return its exit code and what it wrote to stderr."""
    environment = os.environ | CPU_ONLY | ({"KERAS_BACKEND": backend} if backend else {})
    with said.open("wb") as stderr:
        code = processes.run_python(
            __name__, *words, environment=environment, stdout=DEVNULL, stderr=stderr
        )
    return code, said.read_text(encoding="utf-8", errors="replace").strip()


def main(module: str, name: str, job_file: str, result_file: str) -> None:
    """Call a function inside the new process; see `call`."""
    function = getattr(import_module(module), name)
    result = function(json.loads(Path(job_file).read_text(encoding="utf-8")))
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
