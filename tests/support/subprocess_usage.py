"""`kmixer` as a process of its own, with the processor's seconds and the memory that it took."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """A process that has ended.

    Attributes:
        seconds: of the processor, all cores together: what others run beside it adds little.
        megabytes: the most that lay in its memory at once.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float


def kmixer(words, cwd):
    """Run `kmixer`; see `python`."""
    return python(["-m", "kmixer_cli", *words], cwd)


def python(words, cwd):
    """Run Python to its end; it is measured together with what it starts.

    What starts it is small: a process that is forked counts its parent's memory as its own.
    """
    measured = cwd.parent / f"{cwd.name}.json"
    done = subprocess.run(
        [sys.executable, "-S", __file__, measured, sys.executable, *words],
        cwd=cwd, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr, *json.loads(measured.read_text()))


def measure(path, words):
    """Run words as a process, write its seconds and megabytes, and end with its exit code."""
    process = os.posix_spawn(words[0], words, os.environ)
    _, status, used = os.wait4(process, 0)
    Path(path).write_text(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2:])
