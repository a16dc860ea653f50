"""Run a function in a Python process of its own, with a Keras backend of its own.

The process is started as `python -m` this module, with the function's module and name: both are
taken from the function itself, so that a moved or renamed one still runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

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
        # -P: a file in the current folder never stands in for a module of the same name
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__, function.__module__, function.__name__,
             str(job_file), str(result_file)],
            capture_output=True, text=True, errors="replace", check=False,
            env=os.environ | CPU_ONLY | ({"KERAS_BACKEND": backend} if backend else {}),
        )  # fmt: skip
        if done.returncode:
            cause = RuntimeError(done.stderr.strip())
            raise RunError(f"{task}: {process_failure(done.returncode, done.stderr)}") from cause
        return json.loads(result_file.read_text(encoding="utf-8"))


def main(module: str, name: str, job_file: str, result_file: str) -> None:
    """Call a function inside the new process; see `call`."""
    function = getattr(import_module(module), name)
    result = function(json.loads(Path(job_file).read_text(encoding="utf-8")))
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
