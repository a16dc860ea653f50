"""The results page's section on fine-tuning: runs that start from another run, and from scratch."""

from itertools import groupby
from statistics import median

from kmixer.runs.run import load_run

HEAD = (
    "data set", "classes", "training images of each", "model", "side", "start", "seeds",
    "test % best epoch (mean ± sd)", "test % last epoch", "epochs", "seconds",
)  # fmt: skip


def fine_tuning(folder, mean_of):
    """Return the lines of the section.

    Args:
        folder: holds the text files of a run in each folder, and `NOTES.md` with what to say first.
        mean_of: writes figures as their mean and spread.
    """
    paths = sorted(folder.glob("*/metrics.json"))
    runs = sorted((load_run(path.parent) for path in paths), key=_group)
    if not runs:
        return []
    lines = ["", "## Fine-tuning", "", (folder / "NOTES.md").read_text().strip(), ""]
    lines += [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    for key, group in groupby(runs, key=_group):
        lines.append(_row(key, list(group), mean_of))
    lines += ["", "| run | command |", "| --- | --- |"]
    return [*lines, *(f"| {run.folder.name} | `{run.info['command']}` |" for run in runs)]


def _group(run):
    data, start = run.settings.data, run.settings.finetune
    classes = ", ".join(data.classes or ["all"])
    source = start.run.rsplit("/", 1)[-1] if start else "scratch"
    images, epochs = data.train_per_class or 0, run.metrics["epochs"]
    side = data.resize_size or data.image_size
    return (run.info["dataset"], images, classes, run.settings.model.name, side, source, epochs)


def _row(key, group, mean_of):
    dataset, images, classes, model, side, start, epochs = key
    best, last = (
        mean_of([100 * r.metrics[which]["test"]["accuracy"] for r in group])
        for which in ("best", "last")
    )
    seeds = ", ".join(str(r.settings.training.seed) for r in group)
    cells = (
        dataset, classes, images or "all", model, side, start, seeds, best, last, epochs,
        f"{median(r.metrics['seconds'] for r in group):.0f}",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
