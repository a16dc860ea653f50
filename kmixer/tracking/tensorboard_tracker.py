"""TensorBoard: event files in the folder's own `tensorboard/`, written by TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backend import import_tensorflow
from ..files import atomic
from ..files.markdown import markdown_table
from .tracker import Result, State, Subject

FOLDER = "tensorboard"
PARTS = {"val_": "validation", "test_": "test"}  # by the beginning of a column's name
TRAIN = "train"


def tracker() -> TensorboardTracker:
    """Import TensorFlow."""
    return TensorboardTracker(import_tensorflow())


class TensorboardTracker:
    """Curves, settings and pictures; the model lies beside them, in the run folder.

    `tensorboard --logdir` takes the folder of a run, of a search, or one that holds many.

    Args:
        tensorflow: the module.
    """

    def __init__(self, tensorflow: Any) -> None:
        self.tensorflow, self.summary = tensorflow, tensorflow.summary
        self.folder = Path()
        self.writers: dict[str, Any] = {}

    def begin(self, subject: Subject, earlier: str | None, parent: str | None) -> str:
        """See `Tracker.begin`."""
        self.folder = subject.folder
        if not earlier:
            with self._writer(TRAIN).as_default(step=0):
                shown = [*subject.labels.items(), *subject.params.items()]
                self.summary.text("settings", markdown_table([("setting", "value"), *shown]))
                self._write_hparams(subject.params)
        return FOLDER

    def _write_hparams(self, params: Mapping[str, Any]) -> None:
        from tensorboard.plugins.hparams import api

        kinds = bool | int | float | str
        api.hparams({k: v if isinstance(v, kinds) else json.dumps(v) for k, v in params.items()})

    def _writer(self, part: str) -> Any:
        """Return the writer of a part; TensorBoard itself would follow a link."""
        if part not in self.writers:
            folder = self.folder / FOLDER / part
            atomic.make_folder(folder, within=self.folder)
            self.writers[part] = self.summary.create_file_writer(str(folder))
        return self.writers[part]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        for key, value in values.items():
            start = next((start for start in PARTS if key.startswith(start)), "")
            with self._writer(PARTS.get(start, TRAIN)).as_default(step=step):
                self.summary.scalar(key.removeprefix(start), value)
        self._flush()

    def end(self, state: State, result: Result) -> None:
        """See `Tracker.end`."""
        with self._writer(TRAIN).as_default(step=0):
            for key, value in result.metrics.items():
                self.summary.scalar(f"result/{key}", value)
            for path in result.pictures:
                pixels = self.tensorflow.io.decode_png(path.read_bytes(), channels=3)
                self.summary.image(path.stem, pixels[None])
            if result.reason:
                self.summary.text(state, result.reason)
            if state == "finished":
                self._write_success()
        self._flush()

    def _write_success(self) -> None:
        """Record the end, once: TensorBoard knows the first, of a training that may be resumed."""
        from tensorboard.plugins.hparams import api_pb2, summary

        message = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
        self.summary.experimental.write_raw_pb(message.SerializeToString())

    def _flush(self) -> None:
        for writer in self.writers.values():
            writer.flush()
