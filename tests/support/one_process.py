"""Several `kmixer` commands in one new process, whose slow imports they share."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str


def run_commands(commands, prefix=(), **options):
    """Run commands one after the other in a new process and return an `Ended` of each.

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
    return [Ended(**ended) for ended in json.loads(done.stdout.splitlines()[-1])]


def main(commands):
    """Run the commands and print a JSON list of what they left."""
    from kmixer_cli.main import main as kmixer

    ended = []
    for words in commands:
        out, err = io.StringIO(), io.StringIO()
        sys.argv = ["kmixer", *words]
        with redirect_stdout(out), redirect_stderr(err):
            try:
                kmixer(words)
            except SystemExit as end:
                code = end.code or 0
        ended.append({"code": code, "stdout": out.getvalue(), "stderr": err.getvalue()})
    print(json.dumps(ended))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
