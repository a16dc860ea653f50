"""`kmixer` commands that other commands run, each in a process of its own."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmixer.config import Settings

    from .terminal import Terminal

COMMAND = "kmixer_cli"  # the module
POLL_SECONDS = 0.02  # the seconds that a speed run measures are as exact as that


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
    from kmixer.processes import end, start_python
    from kmixer.runs.signals import stop_requests

    with stop_requests() as request:
        process = start_python(COMMAND, *words, environment=environment, start_new_session=True)
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
            end(process)
    if request.signal:
        raise InterruptedRunError(
            f"interrupted; the same command goes on with {folder}", request.signal
        )
    return code


@dataclass(frozen=True)
class TrainCommand:
    """A `kmixer train` that runs in a process of its own.

    Attributes:
        dataset: its name.
        preset: its name, or None.
        config: a YAML file, or None.
        options: values by their settings' paths, None where not given.
        assignments: `path=value` texts, which win over the options.
    """

    dataset: str
    preset: str | None
    config: Path | None
    options: Mapping[str, Any]
    assignments: Sequence[str] = ()

    @property
    def words(self) -> list[str]:
        """Its words after `kmixer`."""
        from kmixer.options import EVERYWHERE

        given = {path: value for path, value in self.options.items() if value is not None}
        named = {"--preset": self.preset, "--config": self.config}
        named |= {f"--{n.replace('_', '-')}": given.pop(p, None) for n, p in EVERYWHERE.items()}
        words = ["train", self.dataset]
        for option, value in named.items():
            words += [option, str(value)] if value is not None else []
        for path, value in given.items():
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["--set", f"{path}={text}"]
        for text in self.assignments:
            words += ["--set", text]
        return words

    def recipe(self) -> "tuple[str | None, Settings]":
        """Return the preset and the settings that it would train with now.

        Raises:
            SettingsError: a setting is wrong.
        """
        from .loading import load_recipe
        from .terminal import Terminal

        return load_recipe(
            self.dataset, self.preset, self.config, self.options, self.assignments,
            Terminal(quiet=True),
        )  # fmt: skip


def train_all(
    terminal: "Terminal",
    folder: Path,
    train_commands: Mapping[str, TrainCommand],
    settings: Mapping[str, "Settings"],
) -> dict[str, int]:
    """Train every run of a folder to its end; what is finished is kept, the rest goes on.

    Args:
        terminal: says which is trained.
        folder: of the runs.
        train_commands: of each run, by its name.
        settings: that each run is to have, by its name.

    Returns:
        The exit codes of those that failed, by name.

    Raises:
        SettingsError: a run's settings were edited while the runs before it were trained.
    """
    from kmixer.files.opened import refuse_links
    from kmixer.runs.run import run_state
    from kmixer.tuning.sweep import check_same, remove_unstarted

    quiet = ["--quiet"] if terminal.quiet or terminal.as_json else []
    failed = {}
    for number, (name, training) in enumerate(train_commands.items(), 1):
        run = folder / name
        refuse_links(run, within=folder)
        state = run_state(run)
        terminal.say()
        terminal.say(f"run {number}/{len(train_commands)}  {name}  ({state})")
        if state == "finished":
            continue
        command = ["resume", str(run)]
        if state == "new":
            check_same(run, settings[name], training.recipe()[1])
            remove_unstarted(run)
            command = [*training.words, "--out", str(run)]
        if code := run_kmixer([*command, *quiet], folder):
            failed[name] = code
    return failed


def check_none_failed(failed: Mapping[str, int], count: int) -> None:
    """Refuse to end well where runs failed.

    Args:
        failed: what `train_all` returned.
        count: of all its runs.

    Raises:
        RunError: naming them with their exit codes.
    """
    from kmixer.errors import RunError

    if failed:
        codes = ", ".join(f"{run} (exit code {code})" for run, code in failed.items())
        raise RunError(f"{len(failed)} of {count} runs failed: {codes}")


def check_reusable(config: Path | None) -> None:
    """Refuse settings that only the first of several runs could read.

    Raises:
        SettingsError: the file is a pipe or the like.
    """
    from kmixer.errors import SettingsError

    if config and os.path.exists(config) and not os.path.isfile(config):  # of any length
        raise SettingsError(
            f"--config: received {config}, which can be read once, expected a file: each run"
            " reads it"
        )


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
    import tempfile

    from kmixer.errors import RunError
    from kmixer.processes import end, start_python

    folder = Path(out or Path(run) / "export")
    words = ["export", str(run), "--format", "tflite", "--quiet"]
    if folder != Path(run) / "export":  # else the command sees that it lies in the run
        words += ["--out", str(folder)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = start_python(COMMAND, *words, stderr=said)
        try:
            process.wait()
        except BaseException:
            process.terminate()  # it removes what is half done
            process.wait()
            raise
        finally:
            end(process)
        said.seek(0)
        message = said.read().strip().removeprefix("kmixer: ")
    if process.returncode:
        raise RunError(message or "the export failed")
    return folder
