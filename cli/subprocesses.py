"""`kmixer` commands that other commands run, each in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

POLL_SECONDS = 0.2


def run_kmixer(
    words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> int:
    """Run one `kmixer` command as a process of its own and return its exit code.

    It has a session of its own, so that Ctrl-C reaches it once, through here.

    Args:
        words: of the command, without `kmixer`.
        folder: of the search or sweep that it belongs to, for the message.
        environment: of the process; default: this one's.

    Raises:
        InterruptedRunError: a signal came; the run was given time to save.
    """
    from kmixer.errors import InterruptedRunError
    from kmixer.runs.signals import stop_requests

    with stop_requests() as request:
        process = subprocess.Popen(_command(words), start_new_session=True, env=environment)
        try:
            while process.poll() is None and not request.signal:
                time.sleep(POLL_SECONDS)
            if request.signal:
                process.send_signal(request.signal)
            code = process.wait()
        finally:  # a second signal came: the run stops at once too
            if process.poll() is None:
                process.terminate()
                process.wait()
    if request.signal:
        raise InterruptedRunError(
            f"interrupted; the same command goes on with {folder}", request.signal
        )
    return code


def export_to_tflite(run: str | Path, out: str | Path | None = None) -> Path:
    """Export a run in a process of its own, which is stopped when this one is.

    Args:
        run: the run folder.
        out: the folder that the export's folder goes into; default `export` in the run's.

    Returns:
        That folder.

    Raises:
        RunError: the export failed, with the command's own message.
    """
    from kmixer.errors import RunError

    folder = Path(out or Path(run) / "export")
    words = ["export", str(run), "--format", "tflite", "--out", str(folder), "--quiet"]
    process = subprocess.Popen(_command(words), stderr=subprocess.PIPE, text=True)
    try:
        _, message = process.communicate()
    except BaseException:
        process.terminate()  # it removes what is half done
        process.communicate()
        raise
    if process.returncode:
        raise RunError(message.strip().removeprefix("kmixer: ") or "the export failed")
    return folder


def _command(words: Sequence[str]) -> list[str]:
    """Return the words of a `kmixer` command.

    `-P` keeps modules in the current folder from standing in for the installed ones.
    """
    return [sys.executable, "-P", "-m", "kmixer_cli", *words]
