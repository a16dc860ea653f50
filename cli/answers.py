"""`kmixer answers`."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .terminal import Backend, DataDir, Json, Quiet, Terminal, percent

if TYPE_CHECKING:
    import numpy as np

    from kmixer.runs.answers import Answers
    from kmixer.runs.run import Run


def answers(
    run: Annotated[Path, typer.Argument(help="A finished run.")],
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Of each class the share of images whose set of classes is to hold it; default:"
            " answers.coverage of the run's settings."
        ),
    ] = None,
    refusals: Annotated[
        float | None,
        typer.Option(
            help="The share of images of known classes that may be called unknown; default:"
            " answers.refusals."
        ),
    ] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure on images of none of the classes: a file, a folder or a quoted pattern."
        ),
    ] = None,
    backend: Backend = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Choose what a run answers: sets of classes that hold the right one, and "I do not know this".

    The thresholds are chosen on its validation images, measured on its test images, and kept in
    metrics.json; `predict`, `serve` and exports made afterwards answer by them.

    Example: kmixer answers saved_models/fmnist-1 --coverage 0.9
    """
    from kmixer.data.image_files import find_images
    from kmixer.errors import RunError
    from kmixer.evaluation.images import check_available
    from kmixer.runs.run import load_run

    opened = load_run(run)
    opened.check_finished()
    opened.check_model()
    if opened.imported:
        raise RunError(f"{run}: its weights were imported; answers are chosen where it was trained")
    check_available(opened, None, data_dir)
    wanted = _wanted(opened, coverage, refusals)
    files = find_images(unknown) if unknown else []
    from kmixer.backend import choose

    choose(backend or opened.settings.training.backend)
    terminal = Terminal(quiet, as_json)
    found, known, others = _measure(terminal, opened, data_dir, wanted, files)
    _show(terminal, opened, found)
    result: dict[str, Any] = {"answers": found.model_dump()}
    if others is not None:
        result["unknown"] = _show_unknown(terminal, found, known, others)
    _keep(terminal, opened, found)
    terminal.result(result)


def _wanted(run: "Run", coverage: float | None, refusals: float | None) -> dict[str, float]:
    from kmixer.errors import SettingsError

    settings = run.settings.answers
    wanted = {
        "coverage": settings.coverage if coverage is None else coverage,
        "refusals": settings.refusals if refusals is None else refusals,
    }
    for name, received in (("coverage", coverage), ("refusals", refusals)):
        if received is not None and not 0 < received < 1:
            raise SettingsError(
                f"--{name}: received {received:g}, expected a share between 0 and 1"
            )
    return wanted


def _measure(
    terminal: Terminal, run: "Run", data_dir: str | None, wanted: dict[str, float],
    files: list[Path],
) -> "tuple[Answers, np.ndarray, np.ndarray | None]":  # fmt: skip
    """Return the answers, and the probabilities of the test images and of the unknown ones."""
    from functools import partial

    import numpy as np

    from kmixer.evaluation.own_data import load_own
    from kmixer.runs.inference import predict_files, predict_probabilities

    with terminal.bar("reading") as progress:
        own = load_own(run, data_dir, progress)
    own.check_test(run)
    from .loading import start

    start()
    from kmixer.evaluation.answers import choose_for_run

    from .progress import MeasuringProgress

    model = run.load_model()
    with closing(MeasuringProgress(terminal)) as measuring:
        found, test = choose_for_run(run, model, own.dataset, **wanted, callbacks=[measuring])
    if not files:
        return found, test.probabilities, None
    with terminal.bar("unknown images") as progress:
        predictions = []
        predict = partial(predict_probabilities, model)
        for one in predict_files(predict, files, run.decoding, strict=True):
            predictions.append(one.probabilities)
            progress(len(predictions), len(files))
    return found, test.probabilities, np.stack(predictions)


def _show(terminal: Terminal, run: "Run", found: "Answers") -> None:
    measured = found.measured
    assert measured  # on the test images
    rows = [
        [name, percent(share), percent(least)]
        for name, share, least in zip(
            run.class_names, measured.class_coverage, found.least, strict=True
        )
        if share is not None
    ]
    title = f"sets of classes, {100 * found.coverage:g} %: {measured.images:,} test images"
    header = ["class", "its set holds it", "in a set from"]
    terminal.table(title, header, [*rows, ["all", percent(measured.coverage), ""]])
    kind = "each class" if found.per_class else "all classes together: some have too few images"
    terminal.say(
        f"wanted of {kind}: {percent(found.coverage)}; {measured.mean_size:.2f} classes in a set"
    )
    terminal.say(
        f"I do not know this: said of {percent(measured.refused)} of the test images, wanted at"
        f" most {percent(found.refusals)}"
    )


def _show_unknown(
    terminal: Terminal, found: "Answers", known: "np.ndarray", others: "np.ndarray"
) -> dict[str, Any]:
    from kmixer.evaluation.answers import measure_unknown

    measured = measure_unknown(found, known, others)
    terminal.say(
        f"of {measured.images:,} unknown images refused: {percent(measured.refused)}; AUROC"
        f" {measured.auroc:.3f}"
    )
    return asdict(measured)


def _keep(terminal: Terminal, run: "Run", found: "Answers") -> None:
    from kmixer.evaluation.answers import write_answers
    from kmixer.files import atomic

    if atomic.is_read_only(run.folder):
        terminal.say(f"{run.folder} is read-only: nothing was written")
        return
    write_answers(run, found)
    terminal.say(f"kept in {run.folder}: metrics.json, README.md")
