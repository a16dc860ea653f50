"""`kmixer` commands that other commands run, each in a process of its own."""

import subprocess
import sys
import time

POLL_SECONDS = 0.2


def run_kmixer(words, folder, environment=None):
    """Run one `kmixer` command as a process of its own and return its exit code.

    It has a session of its own, so that Ctrl-C reaches it once, through here.

    Raises:
        InterruptedRunError: a signal came; the run has been given the time to save.
    """
    from kmixer.errors import InterruptedRunError
    from kmixer.runs.signals import stop_requests

    with stop_requests() as request:
        process = subprocess.Popen(
            _command(words), start_new_session=True, env=environment
        )  # fmt: skip
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


def export_to_tflite(run):
    """Export a run in a process of its own, which is told to stop when this one is.

    Raises:
        RunError: the export failed, with the command's own words.
    """
    from kmixer.errors import RunError

    words = ["export", str(run), "--format", "tflite", "--quiet"]
    process = subprocess.Popen(_command(words), stderr=subprocess.PIPE, text=True)
    try:
        _, message = process.communicate()
    except BaseException:
        process.terminate()  # it removes what is half done
        process.communicate()
        raise
    if process.returncode:
        raise RunError(message.strip().removeprefix("kmixer: ") or "the export failed")


def _command(words):
    """Return the words of a `kmixer` command.

    `-P` keeps modules in the current folder from standing in for the installed ones.
    """
    return [sys.executable, "-P", "-m", "kmixer_cli", *words]
