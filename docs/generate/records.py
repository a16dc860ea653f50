"""The results page's section on records: our best all-MLP model of each class beside what was published."""

from dataclasses import dataclass
from itertools import groupby
from statistics import mean

ALL_MLP = ("mixer", "shift_mlp", "mlp")
HOUR = 3600
HEAD = (
    "data set", "class", "published", "ours: test %", "parameters", "epochs", "seconds", "on", "commit", "command",
)  # fmt: skip


@dataclass(frozen=True)
class RecordClass:
    """All-MLP models that are compared with each other, trained from scratch on no other data.

    Attributes:
        dataset: its name.
        title: what else they have in common.
        parameters: the most that they may have.
        published: the best test accuracy found elsewhere, in per cent; None: none was found.
        source: whose, and where it was published.
        epochs: of each; None: any number.
        seconds: the most that a training may take, on two cores of a processor; None: any time on
            anything.
    """

    dataset: str
    title: str
    parameters: int
    published: float | None = None
    source: str = ""
    epochs: int | None = None
    seconds: int | None = None

    def holds(self, run):
        """Whether a run is of this class, and its test images were read once."""
        return (
            run.info["dataset"] == self.dataset
            and run.settings.model.name in ALL_MLP
            and not run.settings.training.test_every_epoch
            and run.metrics["trainable_parameters"] <= self.parameters
            and self.epochs in (None, run.metrics["epochs"])
            and (self.seconds is None or _on_two_cores(run, self.seconds))
        )


KAN_MIXERS = (90.30, "KAN-Mixers, arXiv 2503.08939")
MDMLP = (90.90, "MDMLP, 0.3M, arXiv 2205.14477")
NANO = (67.51, "Mixer-nano, 0.67M, its repository")
CATERPILLAR = "Caterpillar-Mi, 5.9M, 300 epochs, arXiv 2305.17644"
CLASSES = (
    RecordClass("fmnist", "≤ 0.5M parameters, ≤ 1 hour on two cores", 500_000, *KAN_MIXERS, seconds=HOUR),
    RecordClass("fmnist", "≤ 6M parameters", 6_000_000, 95.14, CATERPILLAR),
    RecordClass("cifar10", "≤ 0.7M parameters", 700_000, *MDMLP),
    RecordClass("cifar10", "20 epochs", 6_000_000, epochs=20),
    RecordClass("cifar10", "≤ 6M parameters", 6_000_000, 95.54, CATERPILLAR),
    RecordClass("cifar100", "≤ 0.7M parameters", 700_000, *NANO),
)  # fmt: skip


def records(runs, system, figure, mean_of):
    """Return the lines of the section.

    Args:
        runs: sorted by `system`.
        system: returns what the runs of one preset and its seeds share.
        figure: returns a run's test accuracy in per cent.
        mean_of: writes figures as their mean and spread, and the difference from another.
    """
    lines = [
        "## Records", "",
        "All-MLP models, from scratch, no other data, no convolution beyond the patches; of ours the one with the best"
        " accuracy on the validation split, under the strict protocol. In brackets: ours less the published.", "",
        f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|",
    ]  # fmt: skip
    return [*lines, *(_row(kind, runs, system, figure, mean_of) for kind in CLASSES), ""]


def _row(kind, runs, system, figure, mean_of):
    published = f"{kind.published:.2f} ({kind.source})" if kind.published else "–"
    best = _best(kind, runs, system)
    if not best:
        return f"| {kind.dataset} | {kind.title} | {published} | not trained yet |" + " – |" * 6
    metrics, info = [run.metrics for run in best], best[0].info
    seeds = f"{len(best)} seeds" if len(best) > 1 else "one seed"
    cells = (
        kind.dataset, kind.title, published, f"{mean_of([figure(r) for r in best], kind.published)}, {seeds}",
        f"{metrics[0]['trainable_parameters']:,}", metrics[0]["epochs"],
        f"{mean(m['seconds'] for m in metrics):,.0f}", info["device"], info["git_commit"], f"`{info['command']}`",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _best(kind, runs, system):
    """Return the runs of the system of a class that is best on the validation images."""
    groups = (list(g) for _, g in groupby(filter(kind.holds, runs), key=system))
    return max(groups, key=_validation, default=[])


def _validation(group):
    return mean(run.metrics["best"]["validation"]["accuracy"] for run in group)


def _on_two_cores(run, seconds):
    return run.info["device"].startswith("cpu, 2 cores") and run.metrics["seconds"] <= seconds
