"""MLflow: a run in an experiment, at `MLFLOW_TRACKING_URI` or where MLflow itself puts it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..files import atomic
from .tracker import PROJECT, Result, State, Subject

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Unless the user has set them: nothing is sent to MLflow's makers, a server that is gone is given
# up within a minute instead of many, and the making of a database is no news.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
MOST_PARAMS, MOST_METRICS = 100, 1000  # in one request
LONGEST_PARAM, LONGEST_LABEL = 6000, 5000  # characters; a server may hold itself to these limits
SQLITE = "sqlite:///"
MODEL_FOLDER = "model"
OWN_LABELS = {"kmixer.commit": "mlflow.source.git.commit", "kmixer.command": "mlflow.source.name"}
PARENT = "mlflow.parentRunId"
STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


def tracker() -> MlflowTracker:
    """Import MLflow and open its store."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    uri = mlflow.get_tracking_uri()
    if uri.startswith(SQLITE):  # MLflow itself tries for two minutes to open what cannot be opened
        atomic.check_writable(uri.removeprefix(SQLITE))
    return MlflowTracker(mlflow.MlflowClient(uri))


class MlflowTracker:
    """A run of MLflow; those of a sweep or a search are the children of its run.

    Args:
        client: of the store.
    """

    def __init__(self, client: MlflowClient) -> None:
        self.client, self.id = client, ""

    def begin(self, subject: Subject, earlier: str | None, parent: str | None) -> str:
        """See `Tracker.begin`."""
        if earlier and self._exists(earlier):
            self.client.update_run(earlier, "RUNNING")
            self.id = earlier
            return earlier
        labels = {OWN_LABELS.get(key, key): value for key, value in subject.labels.items()}
        labels |= {PARENT: parent} if parent else {}
        tags = {key: _cut(value, LONGEST_LABEL) for key, value in labels.items()}
        run = self.client.create_run(self._experiment(), tags=tags, run_name=subject.name)
        self.id = run.info.run_id
        self._log_params(subject.params)
        return self.id

    def _exists(self, run_id: str) -> bool:
        """Return whether the store has a run; it may be another one than before."""
        from mlflow import MlflowException

        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _experiment(self) -> str:
        """Return the experiment that the user names, or else kmixer's own."""
        from mlflow import MlflowException

        if chosen := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return chosen
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name))
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        texts = {key: _cut(_text(value), LONGEST_PARAM) for key, value in params.items()}
        for part in _parts([*texts.items()], MOST_PARAMS):
            self.client.log_batch(self.id, params=[Param(key, text) for key, text in part])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for part in _parts([*values.items()], MOST_METRICS):
            metrics = [Metric(key, float(value), now, step) for key, value in part]
            self.client.log_batch(self.id, metrics=metrics)

    def end(self, state: State, result: Result) -> None:
        """See `Tracker.end`."""
        self.log(0, result.metrics)
        for path in (*result.pictures, *result.tables):
            self.client.log_artifact(self.id, str(path))
        for path in result.model:
            self.client.log_artifact(self.id, str(path), MODEL_FOLDER)
        if result.reason:
            self.client.set_tag(self.id, "kmixer.reason", _cut(result.reason, LONGEST_LABEL))
        self.client.set_terminated(self.id, STATES[state])


def _text(value: Any) -> str:
    """Return a setting's value as config.yaml has it: null, true, a list in brackets."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _parts(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
