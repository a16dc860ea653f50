"""A module run in a process of its own, which has a Keras backend of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import RunError, process_failure

ON_PROCESSOR = {"CUDA_VISIBLE_DEVICES": ""}  # files are for any machine, and measured on this one's


def run(module, job, *, backend=None, doing):
    """Run `python -m MODULE JOB` to its end, on the processor.

    Args:
        module: the module's name; it reads the job from a JSON file.
        job: a JSON-able dict.
        backend: the Keras backend it is to have.
        doing: what is being done, for the error.

    Returns:
        The JSON object that it printed last, or None.

    Raises:
        RunError: it failed; what it said is the error's cause.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        environment = os.environ | ON_PROCESSOR | ({"KERAS_BACKEND": backend} if backend else {})
        done = subprocess.run(
            [sys.executable, "-m", module, str(path)],
            capture_output=True, text=True, env=environment, check=False, errors="replace",
        )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip()
        raise RunError(f"{doing}: {process_failure(done.returncode, said)}") from RuntimeError(said)
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
