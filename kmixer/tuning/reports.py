"""The reports that kmixer rebuilds: what each one says, and the trainings that are held against it.

Each is trained under two protocols. The report's own: all training images, the test images measured
after each epoch, the best epoch chosen on them. The strict one: a validation split chooses the
epoch, and the test images are read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..config.loading import merge
from ..config.yaml_files import mapping, parse_yaml
from ..errors import SettingsError, nearest
from ..runs.run import load_run
from .speed_recipes import assignments

Protocol = Literal["report", "strict"]
PROTOCOLS: tuple[Protocol, ...] = ("report", "strict")
REPORTS_OWN = {"data": {"train_on_validation": True}, "training": {"test_every_epoch": True}}
ALL = "all"


class Figures(BaseModel):
    """What a report says.

    Attributes:
        test: accuracy of its best epoch on the test images, in per cent.
        test_last: the same of its last epoch; None: not reported.
        train: accuracy on the training images, in per cent; None: not reported.
        train_loss: None: not reported.
    """

    model_config = ConfigDict(extra="forbid")

    test: float
    test_last: float | None = None
    train: float | None = None
    train_loss: float | None = None


class Report(BaseModel):
    """A report and how it is rebuilt.

    Attributes:
        title: one line on what was trained.
        dataset: its name.
        preset: that rebuilds it.
        figures: what it says.
        settings: what differs from the preset.
        protocol: what differs besides under the report's own protocol.
    """

    model_config = ConfigDict(extra="forbid")

    title: str
    dataset: str
    preset: str
    figures: Figures
    settings: dict[str, Any] = {}
    protocol: dict[str, Any] = {}


@dataclass(frozen=True)
class Training:
    """One training of a report.

    Attributes:
        report_name: the report's.
        report: the `Report`.
        protocol: under which it is trained.
        seed: of the training.
        more: `path=value` texts, laid over all else.
    """

    report_name: str
    report: Report
    protocol: Protocol
    seed: int
    more: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.report_name}-{self.protocol}-seed{self.seed}"

    @property
    def assignments(self) -> list[str]:
        """What differs from the preset, as `path=value` texts; the last ones win."""
        settings: dict[str, Any] = self.report.settings
        if self.protocol == "report":
            settings = merge(merge(settings, REPORTS_OWN), self.report.protocol)
        return [*assignments(settings), *self.more, f"training.seed={self.seed}"]


def all_reports() -> dict[str, Report]:
    """Return the reports by name; their files are `configs/reports/NAME.yaml`."""
    folder = resources.files("kmixer_configs").joinpath("reports")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    return {
        name.removesuffix(".yaml"): Report.model_validate(mapping(parse_yaml(text, name), name))
        for name, text in texts.items()
    }


def choose_reports(names: Sequence[str]) -> dict[str, Report]:
    """Return the reports of these names, in their own order; `all` means each.

    Raises:
        SettingsError: there is none of such a name; the nearest are named.
    """
    known = all_reports()
    for name in names:
        if name not in known and name != ALL:
            raise SettingsError(f"report: received {name!r}{nearest(name, [*known, ALL])}")
    return {name: known[name] for name in known if name in names or ALL in names}


def plan(reports: Mapping[str, Report], seeds: int, more: Sequence[str] = ()) -> list[Training]:
    """Return the trainings of reports: one of each protocol and seed.

    Args:
        reports: by name.
        seeds: how many, from 0 on.
        more: `path=value` texts, laid over each training's settings.
    """
    return [
        Training(name, report, protocol, seed, tuple(more))
        for name, report in reports.items()
        for seed in range(seeds)
        for protocol in PROTOCOLS
    ]


def describe(folder: Path, trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """Return what each report says beside what its finished trainings showed, JSON-able.

    Accuracies are in per cent, means over the seeds.

    Args:
        folder: of the trainings.
        trainings: finished ones; a report of which a protocol's are missing has None there.
    """
    by_report: dict[str, list[Training]] = {}
    for training in trainings:
        by_report.setdefault(training.report_name, []).append(training)
    return [
        {"report": name, **_compared(group[0].report.figures, _measured(folder, group))}
        for name, group in by_report.items()
    ]


def _measured(folder: Path, trainings: Sequence[Training]) -> dict[str, list[float]]:
    """Return the test accuracies of the trainings of one report, by what chose the epoch."""
    found: dict[str, list[float]] = {"chosen_on_test": [], "last": [], "strict": []}
    for training in trainings:
        metrics = load_run(folder / training.name).metrics
        if training.protocol == "report":
            found["chosen_on_test"].append(100 * metrics["best_on_test"]["accuracy"])
            found["last"].append(100 * metrics["last"]["test"]["accuracy"])
        else:
            found["strict"].append(100 * metrics["best"]["test"]["accuracy"])
    return found


def _compared(figures: Figures, found: Mapping[str, list[float]]) -> dict[str, Any]:
    ours = {key: round(mean(values), 2) if values else None for key, values in found.items()}
    pairs = [(ours["chosen_on_test"], figures.test), (ours["last"], figures.test_last)]
    short = [
        round(reported - own, 2)
        for own, reported in pairs
        if own is not None and reported is not None
    ]
    return {
        "reported": figures.model_dump(exclude_none=True),
        **ours,
        "seeds": max(map(len, found.values())),
        "missed_by": max(0.0, *short) if short else None,
    }
