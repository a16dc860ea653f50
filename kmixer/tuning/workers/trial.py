"""One trial in a process of its own, which `process.py` starts with the path of a job as JSON.

It prints a JSON line for each epoch, and one for an error, on stdout. When the process that started
it ends, whichever way, the trial ends too (`kmixer/processes.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from ... import backend
from ...config import loading
from ...errors import InterruptedRunError, SettingsError, describe
from ...runs.compiled import compiled_steps_kept

STARTED = time.perf_counter()  # as near to the process's start as it can be known


def main(path: str) -> None:
    """Train the job's settings in its folder, or continue the training that lies there."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    if job["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    try:
        _train(job, Path(job["folder"]))
    except (Exception, InterruptedRunError) as error:
        traceback.print_exc()  # for the log
        _send(error=describe(error), infeasible=isinstance(error, SettingsError))
        sys.exit(getattr(error, "exit_code", 1))


def _send(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def _train(job: dict[str, Any], folder: Path) -> None:
    settings = loading.build_settings(job["settings"])
    with compiled_steps_kept(backend.choose(settings.training.backend)):
        backend.start(settings.training.backend)
    from ...runs.run import load_run
    from ...training import checkpoint
    from ...training.train import resume, train
    from .watcher import TrialWatcher

    watcher = TrialWatcher(_send, job["max_seconds_per_epoch"])
    options: dict[str, Any] = {
        "callbacks": [watcher], "on_start": watcher.note_run, "read_test": False,
        "verbose": 0, "started": STARTED,
    }  # fmt: skip
    if checkpoint.exists(folder):
        resume(load_run(folder), **options)
        return
    if folder.is_dir():  # killed before its first checkpoint
        shutil.rmtree(folder)
    train(settings, out=folder, command=job["command"], **options)


if __name__ == "__main__":
    main(sys.argv[1])
