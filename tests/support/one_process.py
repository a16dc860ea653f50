"""`kmixer` commands inside this process, or several in one new process, whose slow imports they share."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_here(words):
    """Run a command inside this process and return a `Finished`."""
    from kmixer_cli.main import main as kmixer

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            kmixer(words)
        except SystemExit as end:
            return Finished(end.code or 0, out.getvalue(), err.getvalue())
    raise AssertionError(f"{words}: the command did not exit")


def run_commands(commands, prefix=(), **options):
    """Run commands one after the other in a new process and return a `Finished` of each.

    Args:
        commands: the words of each, without `kmixer`.
        prefix: words before Python, such as those of `unshare`.
        options: of `subprocess.run`, such as `env` and `cwd`.
    """
    words = [[str(word) for word in command] for command in commands]
    done = subprocess.run(
        [*prefix, sys.executable, __file__, json.dumps(words)],
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [Finished(**values) for values in json.loads(done.stdout.splitlines()[-1])]


def main(commands):
    """Run the commands and print a JSON list of what they left."""
    finished = []
    for words in commands:
        sys.argv = ["kmixer", *words]
        finished.append(asdict(run_here(words)))
    print(json.dumps(finished))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
