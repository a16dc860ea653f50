"""KerasTuner's own protocol for several machines: a chief that draws, workers that train."""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Literal

from keras_tuner.src.distribute.oracle_chief import start_server
from keras_tuner.src.distribute.oracle_client import OracleClient

from ...errors import SettingsError
from ..trials import Trial
from .keras_tuner_engine import KerasTunerEngine

CHIEF_SECONDS = 120  # to wait for the chief, which may have to load its data first
VARIABLES = TUNER_ID, CHIEF_HOST, CHIEF_PORT = (
    "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT",
)  # fmt: skip


class ChiefEngine(KerasTunerEngine):
    """The chief's engine: it answers workers, which do not know of the search so far.

    The oracle has to count by itself here: what cannot be trained counts too.
    """

    def _restore(self) -> None:
        self._replay()
        # As Oracle.reload() does: trials in progress are given out again, to whoever asks.
        self.oracle._retry_queue += [trial.trial_id for trial in self._open.values()]
        self.oracle.ongoing_trials.clear()
        self.oracle.tuner_ids.clear()

    def serve(self) -> None:
        """Answer workers until they have no more to do."""
        start_server(self.oracle)


class WorkerEngine(KerasTunerEngine):
    """A worker's engine: it asks the chief, which counts the trials of all workers.

    Raises:
        SettingsError: no chief answers.
    """

    def _restore(self) -> None:
        wait_for_chief()
        self.oracle = OracleClient(self.oracle)

    def ask(self) -> Trial | Literal["wait"] | None:
        """Return the next `Trial`, `WAIT`, or None where there are no more points."""
        return self._draw(os.environ[TUNER_ID])

    def _number(self, oracle_trial: Any) -> int:
        return int(oracle_trial.trial_id)


def wait_for_chief() -> None:
    """Wait until the chief listens; gRPC would wait for an hour and ignore signals.

    Raises:
        SettingsError: nobody listens there.
    """
    host, port = os.environ[CHIEF_HOST], os.environ[CHIEF_PORT]
    deadline = time.monotonic() + CHIEF_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError:
            time.sleep(1)
        except ValueError:
            break
    raise SettingsError(f"--role worker: no chief answers at {host}:{port}")


def check_roles() -> None:
    """Refuse a role without the variables that say where the chief is.

    Raises:
        SettingsError: one of them is not set.
    """
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise SettingsError(
            f"--role: {missing[0]} is not set; KerasTuner's chief and workers need"
            f" {', '.join(VARIABLES)}"
        )
