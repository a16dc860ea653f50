"""`kmixer` as a process of its own, with the seconds and the memory that it took."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """A process that has ended; `megabytes` is the most that lay in memory at once."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float


def kmixer(words, cwd):
    """Run a command to its end; it and what it starts are measured together."""
    out, err = (cwd.parent / f"{cwd.name}.{name}" for name in ("out", "err"))
    began = time.perf_counter()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "kmixer_cli", *words], cwd=cwd, stdout=stdout, stderr=stderr,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    texts = (path.read_text(errors="replace") for path in (out, err))
    return Done(process.returncode, *texts, seconds, used.ru_maxrss / 1024)
