"""`kmixer find-lr`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .setting_options import with_setting_options
from .terminal import Config, Dataset, Json, Preset, Quiet, Set, Terminal

NOT_USED = (
    "epochs", "learning_rate", "schedule", "distribute", "steps_per_execution", "track",
)  # fmt: skip


@with_setting_options(without=NOT_USED)
def find_lr(
    dataset: Dataset,
    preset: Preset = None,
    config: Config = None,
    assignments: Set = None,
    lowest: Annotated[float, typer.Option(help="The first step's learning rate.")] = 1e-6,
    highest: Annotated[float, typer.Option(help="The last step's.")] = 1.0,
    steps: Annotated[int, typer.Option(min=20, help="How many.")] = 200,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("learning_rate.png"),
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Find a learning rate: train once with a rate that rises from step to step, and draw the loss.

    The model, its optimizer and its augmentation are those that `train` would have.

    Example: kmixer find-lr fmnist --preset fmnist-pyramid
    """
    from kmixer.backend import choose
    from kmixer.data import load_splits
    from kmixer.errors import SettingsError
    from kmixer.files import atomic

    from .loading import load_recipe, start

    if not 0 < lowest < highest:
        received = f"received {lowest:g} with --highest {highest:g}"
        raise SettingsError(f"--lowest: {received}, expected more than 0 and less than that")
    terminal = Terminal(quiet, as_json)
    _, settings = load_recipe(dataset, preset, config, options, assignments, terminal)
    atomic.check_writable(out)
    choose(settings.training.backend)
    with terminal.bar("reading") as reading:
        images = load_splits(settings.data, reading)
    start(settings.training.backend)
    from kmixer.evaluation import figures
    from kmixer.training.learning_rate_finder import find_learning_rate

    with terminal.bar("training") as progress:
        found = find_learning_rate(
            settings, images, lowest=lowest, highest=highest, steps=steps, progress=progress
        )
    picture = figures.range_test(found.rates, found.losses, found.smoothed, found.suggestion)
    figures.save(picture, out)
    least = float(found.rates[found.least])
    name = settings.optimizer.name
    terminal.say(
        f"{name}: the loss falls fastest at a learning rate of {found.suggestion:g} and rises from"
        f" {least:.1e} on; the peak of a schedule lies between the two, as a rule"
    )
    terminal.say(f"{out}: {len(found.rates)} steps; try: --learning-rate {found.suggestion:g}")
    terminal.result(
        {"suggestion": found.suggestion, "least": least, "file": str(out),
         "rates": found.rates.tolist(), "losses": found.losses.tolist()}
    )  # fmt: skip
