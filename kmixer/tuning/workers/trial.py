"""One trial in a process of its own: `python -m kmixer.tuning.workers.trial JOB.json`.

It tells each epoch, and how it ended, as JSON lines on stdout. When the process that started it
goes, however it goes, its stdin ends, and so does the trial.
"""

import json
import os
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path

from ... import backend
from ...config import loading
from ...errors import InterruptedRunError, KmixerError, SettingsError, describe

WARMUP_STEPS, LEAST_SECONDS = 3, 5.0


def main(path):
    """Train the job's settings in its folder, or go on with what lies there."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if job["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    try:
        _train(job, Path(job["folder"]))
    except (Exception, InterruptedRunError) as error:
        traceback.print_exc()  # for the log
        _say(error=describe(error), infeasible=isinstance(error, SettingsError))
        sys.exit(getattr(error, "exit_code", 1))


def _end_with_parent():
    os.read(0, 1)  # sys.stdin would keep the interpreter from closing it
    os._exit(1)


def _say(**message):
    print(json.dumps(message), flush=True)


def _train(job, folder):
    settings = loading.build(job["settings"])
    backend.select(settings.training.backend)
    from ...runs.run import load_run
    from ...training import checkpoint
    from ...training.train import resume, train

    watcher = _watcher(job)
    told = {"watchers": [watcher], "announce": watcher.announce, "read_test": False}
    if checkpoint.exists(folder):
        resume(load_run(folder), **told)
        return
    if folder.is_dir():  # killed before an epoch was whole
        shutil.rmtree(folder)
    train(settings, out=folder, command=job["command"], **told)


def _watcher(job):
    import keras

    class Watcher(keras.callbacks.Callback):
        """Tells each epoch, and ends a trial that trains more slowly than is allowed."""

        def announce(self, run, dataset, model, place):
            self.run = run
            self.step = 0

        def on_train_batch_end(self, batch, logs=None):
            self.step += 1
            most = job["max_seconds_per_epoch"]
            if self.step == WARMUP_STEPS:  # compiled
                self.began = time.perf_counter()
            elif most and self.step > WARMUP_STEPS:
                taken = time.perf_counter() - self.began
                an_epoch = taken / (self.step - WARMUP_STEPS) * self.params["steps"]
                if an_epoch > most and taken > min(LEAST_SECONDS, most):
                    raise KmixerError(
                        f"too slow: {an_epoch:.1f} s an epoch, more than the {most:g} s of"
                        " --max-seconds-per-epoch"
                    )

        def on_epoch_begin(self, epoch, logs=None):
            self.step = min(self.step, WARMUP_STEPS - 1)  # validation is no step

        def on_epoch_end(self, epoch, logs=None):
            _say(epoch=epoch + 1, of=self.params["epochs"], row=self.run.history[-1])

    return Watcher()


if __name__ == "__main__":
    main(sys.argv[1])
