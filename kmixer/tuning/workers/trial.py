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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import backend
from ...config import loading
from ...errors import InterruptedRunError, SettingsError, describe
from ...runs.compiled import compiled_steps_kept

if TYPE_CHECKING:
    from ...config import Settings
    from .watcher import TrialWatcher

STARTED = time.perf_counter()  # as near to the process's start as it can be known


def main(path: str) -> None:
    """Train the job's settings, each in its folder, or continue what lies there."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    if job["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    try:
        _train_all(job)
    except (Exception, InterruptedRunError) as error:
        traceback.print_exc()  # for the log
        _send(error=describe(error), infeasible=isinstance(error, SettingsError))
        sys.exit(getattr(error, "exit_code", 1))


def _send(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def _train_all(job: dict[str, Any]) -> None:
    trainings = [
        (Path(training["folder"]), loading.build_settings(training["settings"]))
        for training in job["trainings"]
    ]
    settings = trainings[0][1]
    with compiled_steps_kept(backend.choose(settings.training.backend)):
        backend.start(settings.training.backend)
    import keras

    from ...runs.run import run_state
    from .watcher import TrialWatcher

    started = STARTED
    for number, (folder, settings) in enumerate(trainings, 1):
        if run_state(folder) == "finished":  # before this process began
            continue
        send = partial(_send, training=number, trainings=len(trainings))
        watcher = TrialWatcher(send, job["max_seconds_per_epoch"])
        _train(folder, settings, watcher, job["command"], started)
        keras.backend.clear_session()
        started = time.perf_counter()


def _train(
    folder: Path, settings: Settings, watcher: TrialWatcher, command: str, started: float
) -> None:
    from ...runs.run import load_run
    from ...training import checkpoint
    from ...training.train import resume, train

    options: dict[str, Any] = {
        "callbacks": [watcher], "on_start": watcher.note_run, "read_test": False,
        "verbose": 0, "started": started,
    }  # fmt: skip
    if checkpoint.exists(folder):
        resume(load_run(folder), **options)
        return
    if folder.is_dir():  # killed before its first checkpoint
        shutil.rmtree(folder)
    train(settings, out=folder, command=command, **options)


if __name__ == "__main__":
    main(sys.argv[1])
