"""`kmixer data`: list, info, import, show."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import data_cache
from .data_layout import print_layout
from .image_options import Fit, Size, check_fit, read_size
from .setting_options import with_setting_options
from .terminal import DataDir, Dataset, Json, Quiet, Set, Terminal, print_json

if TYPE_CHECKING:
    from kmixer.data import Dataset as Images

app = typer.Typer(help="Look at data sets.", no_args_is_help=True)
app.add_typer(data_cache.app, name="cache")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the names that a data set can have.

    Example: kmixer data list
    """
    from kmixer.data import SOURCES

    terminal = Terminal(as_json=as_json)
    width = max(len(source.label) for source in SOURCES)
    for source in SOURCES:
        terminal.say(f"{source.label:<{width}}  {source.description}")
    fixed = {source.label: source.description for source in SOURCES if source.has_fixed_name}
    terminal.result({"datasets": fixed})


@app.command()
def info(
    name: Dataset,
    image_size: Size = None,
    fit: Fit = None,
    duplicates: Annotated[bool, typer.Option(help="Look for exact and near duplicates.")] = True,
    croissant: Annotated[
        bool, typer.Option("--croissant", help="Describe it as Croissant, for data catalogues.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The file for --croissant; default: it is printed.")
    ] = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Describe a data set: source, sizes, counts per class, duplicates.

    Example: kmixer data info fmnist
    """
    from kmixer.config import DataSettings
    from kmixer.data import load
    from kmixer.data.asked import remember_data
    from kmixer.data.duplicates import find_duplicates
    from kmixer.data.quality import contrast_notes

    _check_out(out, croissant)
    terminal, size, how = Terminal(quiet, as_json), read_size(image_size), check_fit(fit)
    with terminal.bar("reading") as progress:
        dataset = load(name, data_dir, image_size=size, **how, progress=progress)
    remember_data(DataSettings(name=name, dir=data_dir))
    if croissant:
        _write_croissant(terminal, name, dataset, data_dir, out)
        return
    facts = dataset.describe()
    facts["notes"] += contrast_notes(dataset)
    if duplicates:
        with terminal.bar("comparing") as progress:
            train, test = dataset.train.images, dataset.test.images
            facts["duplicates"] = find_duplicates(train, test, progress=progress).counts()
    _print_info(terminal, facts)
    terminal.result(facts)


def _check_out(out: Path | None, croissant: bool) -> None:
    from kmixer.errors import SettingsError
    from kmixer.files import atomic

    if out and not croissant:
        raise SettingsError(f"--out: received {out}, expected --croissant with it")
    if out:
        atomic.check_writable(out)


def _write_croissant(
    terminal: Terminal, name: str, dataset: "Images", data_dir: str | None, out: Path | None
) -> None:
    """Write the description, or print it."""
    from kmixer.data.croissant import describe
    from kmixer.files import atomic

    described = describe(name, dataset, data_dir, out)
    if out is None:
        print_json(described, indent=2)
        return
    atomic.write_text(out, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    terminal.say(f"{out}: {name} as Croissant 1.0")
    terminal.result({"file": str(out)})


def _print_info(terminal: Terminal, facts: dict[str, Any]) -> None:
    shape = "×".join(str(side) for side in facts["image_shape"])
    terminal.say(f"{facts['name']}: {shape} uint8, {facts['megabytes']:.1f} MB of pixels")
    terminal.say(f"source: {facts['source']}")
    if facts["layout"]:
        print_layout(terminal, facts)
    else:
        for note in facts["notes"]:
            terminal.say(f"note: {note}")
        _print_counts(terminal, facts["counts"])
    if "duplicates" in facts:
        counts = facts["duplicates"]
        terminal.say(
            f"duplicates: {counts['exact']} exact ({counts['exact_across']} of them in both"
            f" training and test set), {counts['near']} near pairs ({counts['near_across']} across"
            f" the two; pixel correlation ≥ {counts['similarity']})"
        )


def _print_counts(terminal: Terminal, counts: dict[str, dict[str, int]]) -> None:
    rows = [
        [label, *(f"{counts[split][label]:,}" for split in counts)] for label in counts["train"]
    ]
    totals = [f"{sum(split.values()):,}" for split in counts.values()]
    terminal.table(None, ["class", *counts], [*rows, ["all", *totals]])


@app.command("import")
def import_(
    name: Annotated[
        str, typer.Argument(help="A data set that is imported from an archive, such as cifar10.")
    ],
    path: Annotated[Path, typer.Argument(help="Its official archive, as downloaded.")],
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Import a downloaded archive, so that the data set can be trained on under its name.

    Example: kmixer data import cifar10 cifar-10-python.tar.gz
    """
    from kmixer.data import SOURCES
    from kmixer.errors import SettingsError

    importers = {source.label: source.import_archive for source in SOURCES if source.import_archive}
    if name not in importers:
        raise SettingsError(
            f"data set: received {name!r}, expected one that is imported from an archive:"
            f" {', '.join(importers)}"
        )
    terminal = Terminal(quiet, as_json)
    with terminal.bar("reading") as progress:
        file = importers[name](path, data_dir, progress)
    terminal.say(f"{file}: imported; now: kmixer train {name}")
    terminal.result({"file": str(file)})


@app.command()
@with_setting_options(only=["image_size", "fit"])
def show(
    name: Dataset,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("augmentation.png"),
    count: Annotated[int, typer.Option(min=1, max=32, help="Images in a row.")] = 10,
    preset: Annotated[str | None, typer.Option(help="Show this preset's augmentation.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random choices.")] = 0,
    assignments: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Write a PNG grid of training images before and after augmentation.

    Without a preset or --set augment.…, every augmentation is shown, strongly enough to be seen.

    Example: kmixer data show fmnist --out augmentation.png
    """
    from kmixer.backend import choose
    from kmixer.data import load
    from kmixer.files import atomic

    from .loading import load_settings, start

    _, settings = load_settings(name, preset, None, options, assignments)
    choose(settings.training.backend)
    atomic.check_writable(out)  # this and the data before Keras is imported
    terminal = Terminal(quiet, as_json)
    with terminal.bar("reading") as progress:
        data = settings.data
        dataset = load(
            name, data.dir, image_size=data.image_size, resize_size=data.resize_size, fit=data.fit,
            channels=data.channels, white_level=data.white_level, progress=progress,
        )  # fmt: skip
    start()
    from kmixer.config.augment import STRONG_EXAMPLE
    from kmixer.data import preview
    from kmixer.evaluation import figures
    from kmixer.models.input_and_head import resize_crop

    chosen_here = any(word.strip().startswith("augment") for word in assignments or ())
    augment = settings.augment if preset or chosen_here else STRONG_EXAMPLE
    crop = resize_crop(dataset.image_shape, data.resize_size, data.crop_size)
    rows = preview.augmented_rows(dataset.train, augment, count, seed, crop)
    pictures = [picture for row in rows.values() for picture in row]
    figures.save(figures.images(pictures, [], len(rows["original"]), list(rows)), out)
    terminal.say(f"{out}: {count} images, rows: {', '.join(rows)}")
    terminal.result({"file": str(out), "rows": list(rows)})
