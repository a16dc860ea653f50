"""A search whose trials are arithmetic, and which is killed at a chosen write of its record.

The loop, the engines and their files are the real ones; only a trial's process is replaced by one
that keeps its history in its folder and computes the values of its epochs.
"""

import json
from types import SimpleNamespace

from kmixer.config import loading
from kmixer.tuning import results, search, trials
from kmixer.tuning.engines import journal, optuna_engine
from kmixer.tuning.plan import Plan
from kmixer.tuning.workers import loop
from kmixer.tuning.workers.process import PRUNED
from kmixer.tuning.workers.resources import Resources
from tiny_settings import tiny_settings
from tuning_search import finished

EPOCHS = 9


class Killed(BaseException):
    """The search's process was killed."""


class Killer:
    """Counts writes; from a chosen one on, none succeeds."""

    def __init__(self):
        self.count, self.at, self.torn = 0, None, False

    def wrap(self, write, tear=None):
        """Return a function that writes unless the process is dead; `tear` writes half of it."""

        def wrapped(*arguments, **options):
            if self.at is not None and self.count >= self.at:
                if self.torn and tear and self.count == self.at:
                    tear(*arguments, **options)
                self.count += 1
                raise Killed
            self.count += 1
            return write(*arguments, **options)

        return wrapped


def value_of(values, epoch):
    """Return the objective after an epoch; some trials are better early, others late."""
    number = sum(json.dumps(values, sort_keys=True).encode())
    return round(0.5 + 0.3 * (number * 37 % 101) / 101 * epoch / EPOCHS + number % 7 / 70, 6)


def _write_history(process):
    (process.folder / "history.json").write_text(json.dumps(process.rows))


def _tear_history(process):
    process.rows = process.rows[: len(process.rows) // 2]
    _write_history(process)


class SimulatedProcess:
    """Stands for a `TrialProcess`; its epochs are messages, and lines of a file in its folder."""

    def __init__(self, trial, trainings, job, root, resources, messages, lock=None):
        self.trial, self.resources, self.folder = trial, resources, trial.folder(root)
        self.stop_reason = self.stop_message = None
        self.folder.mkdir(parents=True, exist_ok=True)
        ((_, settings),) = trainings
        epochs = settings.training.epochs
        done = read_history(self.folder)
        for epoch in range(len(done) + 1, epochs + 1):
            done.append({"epoch": epoch, "val_accuracy": value_of(trial.values, epoch)})
        self.rows, self.epochs = done, epochs
        self._train(messages)

    def _train(self, messages):
        self.record(self)  # before the search hears of it
        for row in self.rows:
            message = {"epoch": row["epoch"], "of": self.epochs, "row": row, "training": 1}
            messages.put((self, message))
        messages.put((self, None))

    def stop(self, reason, message=None):
        if self.stop_reason is None:
            self.stop_reason, self.stop_message = reason, message

    def kill_if_overdue(self):
        pass

    def close(self):
        pass

    def outcome(self, objective):
        if self.stop_reason == PRUNED:
            row = self.stop_message["row"]
            return trials.pruned(row["epoch"], row[objective], self.folder)
        best = max(self.rows, key=lambda row: row[objective])
        return finished(best[objective], best["epoch"])


def read_history(folder):
    path = folder / "history.json"
    return json.loads(path.read_text()) if path.exists() else []


class Quiet:
    """A display that shows nothing."""

    def __getattr__(self, name):
        return lambda *arguments: None


def make_plan(folder, engine, tuner, space, trials_wanted):
    settings = loading.build_settings(tiny_settings(None, training={"epochs": EPOCHS}))
    settings = settings.changed(
        data={"mean": [0.5], "std": [0.5]}, training={"backend": "tensorflow"}
    )
    return Plan(settings, space, folder, engine=engine, tuner=tuner, trials=trials_wanted)


def simulate(plan, monkeypatch, killer):
    """Run a search, or go on with it; return its trials as rows and its best.yaml.

    Raises:
        Killed: at the killer's write.
    """
    facts = SimpleNamespace(base=None, check_fit=lambda settings: None)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "TrialProcess", SimulatedProcess)
        patch.setattr(loop, "read_history", read_history)
        patch.setattr(search.Search, "_with_statistics", lambda self, settings: settings)
        patch.setattr(search.Search, "_cost", lambda self, settings: search.Cost(1))
        patch.setattr(search.distribution, "check_backend", lambda settings: None)
        record = staticmethod(killer.wrap(_write_history, _tear_history))
        patch.setattr(SimulatedProcess, "record", record, raising=False)
        patch.setattr(journal.Journal, "append", killer.wrap(journal.Journal.append, _tear_journal))
        backend = optuna_engine.open_storage.__globals__["JournalFileBackend"]
        patch.setattr(backend, "append_logs", killer.wrap(backend.append_logs, _tear_logs))
        done = search.run(plan, [Resources()], Quiet(), facts)
        found = done.engine.all_trials()
        best = trials.ranked(found, plan.objective)[0]
        text = results.best_yaml(done, best)
    return results.trials_csv(found, list(plan.section)), text


def _tear_journal(record, **event):
    with record.path.open("ab") as file:
        file.write(json.dumps(event)[:9].encode())


def _tear_logs(backend, logs):
    with open(backend._file_path, "ab") as file:
        file.write(json.dumps(logs[0])[:9].encode())
