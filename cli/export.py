"""`kmixer export`."""

from pathlib import Path
from typing import Annotated

import typer

from .terminal import Backend, DataDir, Json, Quiet, Terminal, percent

FILES = ("model.", "saved_model.pb")  # a format's own, that one looks for


def export(
    run: Annotated[Path | None, typer.Argument(help="A finished run folder.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="One that --list prints, such as tflite; may be repeated."),
    ] = None,
    quantize: Annotated[
        str,
        typer.Option(help="none; float16 or dynamic (8-bit) weights; int8: integers throughout."),
    ] = "none",
    out: Annotated[
        Path | None,
        typer.Option(help="Where the export folders go; default: export/ in the run's folder."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Points of accuracy that a quantised file may lose.")
    ] = 0.5,
    data: Annotated[
        str | None,
        typer.Option(help="The images to prove it on, of the run's classes; default: its own."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Print which formats can be had, and stop.")
    ] = False,
    backend: Backend = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
):
    """Write a run's model as a file that runs without kmixer, and prove that it is the same.

    The written file is opened again and asked about 256 images; one that gives other answers than
    the Keras model is not kept.

    Example: kmixer export saved_models/fmnist-1 --format tflite --quantize int8
    """
    from kmixer.errors import SettingsError
    from kmixer.exporting.formats import find_format

    terminal = Terminal(quiet, as_json)
    if listing:
        _list(terminal)
        return
    if run is None or not formats:
        raise SettingsError("received no RUN or no --format; what there is: kmixer export --list")
    for name in formats:
        find_format(name, quantize)
    from kmixer.data import check_name
    from kmixer.files.keras_archive import check_run
    from kmixer.runs.run import load_run

    opened = load_run(run)
    opened.check_finished()
    check_run(opened)  # before anything slow is imported
    if data or opened.settings.data.name:
        check_name(data or opened.settings.data.name)
    from .loading import start

    start(backend or opened.settings.training.backend)
    from kmixer.exporting.export import export as write

    with terminal.status() as step:
        step("reading the data")
        evidence = _evidence(opened, data, data_dir)
        artefacts = [
            write(evidence, name, quantize, out=out, max_drop=max_drop, step=step)
            for name in formats
        ]
    _print(terminal, artefacts)


def _evidence(run, data, data_dir):
    from kmixer.evaluation.evaluate import check_same_kind, load_data
    from kmixer.exporting.reference import Evidence

    if data is None and run.settings.data.name is None:
        return Evidence(run)  # imported weights: there may be no images of theirs
    dataset = load_data(run, data, data_dir)
    check_same_kind(run, dataset)
    return Evidence(run, dataset)


def _print(terminal, artefacts):
    rows = []
    for artefact in artefacts:
        manifest, proof = artefact.manifest, artefact.manifest["proof"]
        measured = proof["test_accuracy"]
        rows.append([
            manifest["format"],
            manifest["quantize"],
            f"{artefact.size:,}",
            f"{proof['largest_difference']:.1e}",
            percent(proof["top1_agreement"]),
            f"{percent(measured['keras'])} → {percent(measured['file'])}" if measured else "–",
            f"{proof['milliseconds_per_image']['1 thread']:.3f}",
        ])  # fmt: skip
    terminal.table(
        None,
        ["format", "quantized", "bytes", "difference", "same class", "test accuracy", "ms/image"],
        rows,
    )
    first = artefacts[0].manifest["proof"]
    terminal.say(
        f"proved on {first['images']} images ({first['source']}) against {first['reference']};"
        f" Keras' predict takes {first['keras_predict_milliseconds']:.1f} ms an image"
    )
    for artefact in artefacts:
        names = [name for name in artefact.manifest["files"] if name.startswith(FILES)]
        terminal.say(f"in {artefact.folder}: {', '.join(names)}, labels.txt, README.md, …")
    terminal.result({"exports": [{"folder": str(a.folder)} | a.manifest for a in artefacts]})


def _list(terminal):
    from kmixer.backend import BACKENDS
    from kmixer.exporting.formats import FORMATS, QUANTIZATIONS, missing_modules, support

    cells, rows = support(), []
    for form in FORMATS.values():
        missing = missing_modules(form)
        for quantize in form.quantizations:
            tried = [cells.get(f"{b}/{form.name}/{quantize}", "not tried") for b in BACKENDS]
            rows.append([form.name, quantize, *tried, ", ".join(missing) or "ready"])
    terminal.table("trained under", ["format", "quantize", *BACKENDS, "on this machine"], rows)
    others = {
        q: [f.name for f in FORMATS.values() if q not in f.quantizations] for q in QUANTIZATIONS
    }
    for quantize, names in others.items():
        if names:
            terminal.say(f"no {quantize}: {', '.join(names)}")
    terminal.result({"cells": cells})
