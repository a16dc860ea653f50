"""What every tracker does: begin a record or go on with it, take epochs, end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

State = Literal["finished", "stopped", "failed"]
Steps = Sequence[tuple[int, Mapping[str, float]]]  # an epoch, or a trial, and its values
PROJECT = "kmixer"  # MLflow's experiment and Trackio's project, where the user names none


@dataclass(frozen=True)
class Subject:
    """What is tracked: a training, or the sweep or search that holds many.

    Attributes:
        name: of its folder.
        folder: its path.
        params: its settings by their paths, as config.yaml holds them.
        labels: commit, preset, version, …, by names such as `kmixer.version`.
        parent: the folder of the sweep or search that it belongs to, or None.
        holds_others: whether it is a sweep or a search.
    """

    name: str
    folder: Path
    params: Mapping[str, Any]
    labels: Mapping[str, str]
    parent: Path | None = None
    holds_others: bool = False


@dataclass(frozen=True)
class Result:
    """What there is to record when it has ended.

    Attributes:
        metrics: the closing ones by name.
        steps: all of it, some of which the trackers have already.
        pictures: paths of PNG files.
        model: paths of the files that make up the model; none of a sweep or a search.
        tables: paths of other files.
        reason: why it did not finish, or None.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: Steps = ()
    pictures: Sequence[Path] = ()
    model: Sequence[Path] = ()
    tables: Sequence[Path] = ()
    reason: str | None = None


class Tracker(Protocol):
    """One tracker with one record in it. Whatever a method raises ends the tracking alone."""

    def begin(self, subject: Subject, earlier: str | None, parent: str | None) -> str:
        """Begin a record and return its identifier.

        Args:
            subject: the `Subject`.
            earlier: the identifier of a record of the same subject, which goes on if it is there.
            parent: the identifier of its parent's record, or None.
        """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values of an epoch (of a search: of a trial), counted from 1."""

    def end(self, state: State, result: Result) -> None:
        """Record the result and how it ended, and wait until all is written."""
