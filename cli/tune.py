"""`kmixer tune`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .setting_options import with_setting_options
from .terminal import Dataset, Json, Quiet, Set, Terminal, folder_name, option

if TYPE_CHECKING:
    from kmixer.config import Settings
    from kmixer.tuning.plan import Plan
    from kmixer.tuning.search import Search

CLOSING_SECONDS = 3600  # to wait for another worker that writes the results
_SPACE, _BOUNDS, _MACHINES = "What is searched", "How long", "Where it runs"


@with_setting_options()
def tune(
    dataset: Dataset = "fmnist",
    preset: Annotated[str | None, option("A shipped preset to start from.", _SPACE)] = None,
    config: Annotated[
        Path | None, option("A YAML file of settings, with a section `search`.", _SPACE)
    ] = None,
    search: Annotated[
        list[str] | None,
        option(
            "A setting and its values: a,b,c or 1..8 or 64..256:64 or 1e-4..1e-2:log;"
            " may be repeated.",
            _SPACE,
            metavar="KEY=VALUES",
        ),
    ] = None,
    assignments: Set = None,
    objective: Annotated[
        str, option("val_accuracy (default), val_loss, accuracy or loss.", _SPACE)
    ] = "val_accuracy",
    folds: Annotated[
        int | None,
        option("Score a trial by k-fold cross-validation: the mean of so many.", _SPACE, min=2),
    ] = None,
    repeats: Annotated[
        int, option("Score a trial by the mean of so many seeds; 1.", _SPACE, min=1)
    ] = 1,
    show_space: Annotated[
        bool, option("Print kmixer's own search space as YAML and end.", _SPACE, "--show-space")
    ] = False,
    show: Annotated[
        bool,
        option(
            "Print the command that shows an Optuna study in its dashboard and end.",
            _SPACE,
            "--show",
        ),
    ] = False,
    engine: Annotated[str, option("keras-tuner (default) or optuna.", _SPACE)] = "keras-tuner",
    tuner: Annotated[
        str | None,
        option(
            "random, hyperband, bayesian or grid; of optuna: tpe, random, grid or hyperband.",
            _SPACE,
        ),
    ] = None,
    trials: Annotated[int | None, option("How many to train; 20.", _BOUNDS, min=1)] = None,
    budget: Annotated[
        str | None, option("Stop after 90s, 30m, 2h or 1h30m.", _BOUNDS, metavar="TIME")
    ] = None,
    max_params: Annotated[int | None, option("Leave out larger models.", _BOUNDS, min=1)] = None,
    max_flash: Annotated[
        str | None,
        option(
            "Leave out models whose file for a microcontroller is larger, such as 256k.",
            _BOUNDS,
            metavar="BYTES",
        ),
    ] = None,
    max_ram: Annotated[
        str | None,
        option(
            "Leave out models that need more working memory there, such as 64k.",
            _BOUNDS,
            metavar="BYTES",
        ),
    ] = None,
    max_seconds_per_epoch: Annotated[
        float | None, option("End trials that are slower.", _BOUNDS)
    ] = None,
    keep: Annotated[int, option("Trials whose weights stay; 3.", _BOUNDS, min=1)] = 3,
    seed: Annotated[int, option("Of the draws; 0.", _BOUNDS, min=0)] = 0,
    retrain: Annotated[
        bool, option("Train the best on train + validation at the end.", _BOUNDS, "--retrain")
    ] = False,
    extend: Annotated[
        bool, option("Go on with other settings or another space.", _BOUNDS, "--extend")
    ] = False,
    workers: Annotated[int, option("Trials at once; 1.", _MACHINES, min=1)] = 1,
    storage: Annotated[
        str | None,
        option("Of a study that machines share: a file, or postgresql://…", _MACHINES),
    ] = None,
    role: Annotated[
        str | None, option("chief or worker, as KerasTuner's variables say.", _MACHINES)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the search's folder; default: <preset>-tune.", callback=folder_name),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The search's folder itself.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Search for better settings; the same command goes on with a search that was interrupted.

    Every trial is a run in a folder and a process of its own, judged on the validation split. The
    test set is read once, at the end, for the best.

    Example: kmixer tune fmnist --trials 20 --search model.blocks=1,2,4
    --search optimizer.learning_rate=1e-3..1e-1:log
    """
    from kmixer.data import tidy_name
    from kmixer.tracking.trackers import check_installed
    from kmixer.tuning.scoring import Scoring
    from kmixer.tuning.tracking import tracked_search

    from .loading import load_settings

    if show_space:
        _show_space(as_json)
        return
    dataset = tidy_name(dataset)
    given, settings = load_settings(dataset, preset, config, options, assignments)
    terminal, stem = Terminal(quiet, as_json), f"{given or Path(dataset).name}-tune"
    plan = _plan(
        settings, search, out or Path("saved_models") / (name or stem), terminal.say,
        engine=engine, tuner=tuner, objective=objective, trials=trials, seed=seed,
        workers=workers, budget=_seconds(budget), max_params=max_params,
        max_flash=_bytes("--max-flash", max_flash), max_ram=_bytes("--max-ram", max_ram), keep=keep,
        storage=storage, extend=extend, role=_role(role), scoring=Scoring(folds, repeats),
        max_seconds_per_epoch=max_seconds_per_epoch,
    )  # fmt: skip
    if show:
        from kmixer.tuning.engines.engine import dashboard_command

        command = dashboard_command(plan)
        terminal.say(command)
        terminal.result({"command": command})
        return
    check_installed(settings.training.track)
    with tracked_search(plan) as begin_tracking:
        search_done = _run(plan, terminal, begin_tracking)
        if role != "worker":
            from kmixer.files.lock import folder_lock

            from .tune_results import show_results

            # one of several workers reads the test set
            with folder_lock(plan.folder, CLOSING_SECONDS):
                show_results(terminal, search_done, retrain)


def _show_space(as_json: bool) -> None:
    """Print kmixer's own search space: as YAML, or as one JSON object."""
    from kmixer.config.yaml_files import parse_yaml
    from kmixer.tuning.space.space import default_text

    text = default_text()
    typer.echo(json.dumps(parse_yaml(text, "search")) + "\n" if as_json else text, nl=False)


def _plan(
    settings: "Settings", search: list[str] | None, folder: Path, say: Callable[[str], None],
    **options: Any,
) -> "Plan":  # fmt: skip
    from kmixer.backend import configured
    from kmixer.tuning.plan import Plan
    from kmixer.tuning.space import space
    from kmixer.tuning.space.command_line import parse_search

    section = (settings.search or {}) | parse_search(search or [])
    if not section:
        if settings.model.name != "mixer":
            say("kmixer's own search space is of plain Mixers; name another with --search")
        settings = space.with_default(settings)
        section = settings.search or {}
    backend = settings.training.backend or configured()
    settings = settings.changed(training={"backend": backend}, search=None)
    return Plan(settings, section, folder, **options)


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a text such as 30m or 1h30m."""
    from kmixer.config.durations import read_seconds
    from kmixer.errors import SettingsError

    try:
        return None if text is None else read_seconds(text)
    except ValueError as error:
        raise SettingsError(f"--budget: {error}") from None


def _bytes(name: str, text: str | None) -> int | None:
    """Return the bytes of a text such as 256k."""
    from kmixer.config.byte_counts import read_bytes
    from kmixer.errors import SettingsError

    try:
        return None if text is None else read_bytes(text)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None


def _role(role: str | None) -> str | None:
    from kmixer.errors import SettingsError

    if role not in (None, "chief", "worker"):
        raise SettingsError(f"--role: received {role!r}, expected chief or worker")
    return role


def _run(plan: "Plan", terminal: Terminal, on_start: "Callable[[Search], object]") -> "Search":
    """Check the space against the images before Keras is imported, then search."""
    from kmixer.backend import choose
    from kmixer.tuning.datasets import SearchDatasets
    from kmixer.tuning.space.validity import check_some_point_fits
    from kmixer.tuning.workers.resources import divide_machine, hide_gpus

    from .loading import start

    space = plan.space
    resources = divide_machine(plan.workers)
    hide_gpus()
    choose(plan.settings.training.backend)
    datasets = SearchDatasets(plan.settings.data)
    check_some_point_fits(space, plan.settings, datasets.check_fit)
    start(plan.settings.training.backend)
    from kmixer.tuning import search

    from .tune_progress import TuneProgress

    with TuneProgress(terminal, plan) as progress:
        return search.run(plan, resources, progress, datasets, on_start)
