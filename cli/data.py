"""`kmixer data`: list, info, show."""

from pathlib import Path
from typing import Annotated

import typer

from .terminal import DataDir, Json, Quiet, Set, Terminal

app = typer.Typer(help="Look at data sets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A data set's name, tfds:NAME or an image folder.")]


@app.command("list")
def list_(as_json: Json = False):
    """List the data sets that have a name of their own.

    Example: kmixer data list
    """
    from kmixer.data import SHORT_NAMES

    terminal = Terminal(as_json=as_json)
    for name, description in SHORT_NAMES.items():
        terminal.say(f"{name:<12}{description}")
    terminal.say(f"{'tfds:NAME':<12}any image-classification data set of TensorFlow Datasets")
    terminal.say(f"{'FOLDER':<12}train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png")
    terminal.result({"datasets": SHORT_NAMES})


@app.command()
def info(
    name: Name,
    image_size: Annotated[int | None, typer.Option(min=1, help="Resize images to it.")] = None,
    duplicates: Annotated[bool, typer.Option(help="Look for exact and near duplicates.")] = True,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Tell what a data set holds: source, sizes, counts per class, duplicates.

    Example: kmixer data info fmnist
    """
    from kmixer.data import load
    from kmixer.data.duplicates import find_duplicates

    terminal = Terminal(quiet, as_json)
    with terminal.bar("reading") as progress:
        dataset = load(name, data_dir, image_size, progress)
    found = None
    if duplicates:
        with terminal.bar("comparing") as progress:
            train, test = dataset.train.images, dataset.test.images
            found = find_duplicates(train, test, progress=progress)
    facts = dataset.describe() | ({"duplicates": found.counts()} if found else {})
    _print_info(terminal, facts)
    terminal.result(facts)


def _print_info(terminal, facts):
    shape = "×".join(str(side) for side in facts["image_shape"])
    terminal.say(f"{facts['name']}: {shape} uint8, {facts['megabytes']:.1f} MB of pixels")
    terminal.say(f"source: {facts['source']}")
    for note in facts["notes"]:
        terminal.say(f"note: {note}")
    splits = list(facts["counts"])
    rows = [
        [label, *(f"{facts['counts'][split][label]:,}" for split in splits)]
        for label in facts["counts"]["train"]
    ]
    totals = [f"{sum(facts['counts'][split].values()):,}" for split in splits]
    terminal.table(None, ["class", *splits], [*rows, ["all", *totals]])
    if "duplicates" in facts:
        found = facts["duplicates"]
        terminal.say(
            f"duplicates: {found['exact']} exact ({found['exact_across']} of them in both training"
            f" and test set), {found['near']} near pairs ({found['near_across']} across the two;"
            f" pixel correlation ≥ {found['similarity']})"
        )


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="cifar10.")],
    path: Annotated[Path, typer.Argument(help="An official archive: …-python or …-binary.tar.gz.")],
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Take over a downloaded archive, so that the data set trains under its name.

    Example: kmixer data import cifar10 cifar-10-python.tar.gz
    """
    from kmixer.data.sources import cifar10
    from kmixer.errors import SettingsError

    if name != "cifar10":
        raise SettingsError(
            f"data set: received {name!r}, expected 'cifar10', the one that imports"
        )
    terminal = Terminal(quiet, as_json)
    with terminal.bar("reading") as progress:
        file = cifar10.import_archive(path, data_dir, progress)
    terminal.say(f"{file}: 50,000 training and 10,000 test images; now: kmixer train cifar10")
    terminal.result({"file": str(file)})


@app.command()
def show(
    name: Name,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("augmentation.png"),
    count: Annotated[int, typer.Option(min=1, max=32, help="Images in a row.")] = 10,
    preset: Annotated[str | None, typer.Option(help="Show this preset's augmentation.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    data_dir: DataDir = None,
    assignments: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Write a PNG grid of training images before and after augmentation.

    Without a preset or --set augment.…, every augmentation is shown at a strength that can be seen.

    Example: kmixer data show fmnist --out augmentation.png
    """
    from kmixer.backend import choose
    from kmixer.data import load
    from kmixer.files import atomic

    from .loading import load_settings, start

    flags = {"data.dir": data_dir}
    _, settings = load_settings(name, preset, None, flags, assignments)
    choose()
    atomic.check_writable(out)  # this and the data before Keras is imported
    terminal = Terminal(quiet, as_json)
    with terminal.bar("reading") as progress:
        data = settings.data
        dataset = load(name, data_dir, data.image_size, progress, data.resize_size)
    start()
    from kmixer.data import preview
    from kmixer.evaluation import figures
    from kmixer.models.input_and_head import resize_crop

    asked = any(word.strip().startswith("augment") for word in assignments or ())
    chosen = settings.augment if preset or asked else preview.VISIBLE
    crop = resize_crop(dataset.image_shape, data.resize_size, data.crop_size)
    rows = preview.augmented_rows(dataset.train, chosen, count, seed, crop)
    pictures = [picture for row in rows.values() for picture in row]
    figures.save(figures.images(pictures, [], len(rows["original"]), list(rows)), out)
    terminal.say(f"{out}: {count} images, rows: {', '.join(rows)}")
    terminal.result({"file": str(out), "rows": list(rows)})
