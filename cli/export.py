"""`kmixer export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import Backend, DataDir, Json, Quiet, Terminal, percent

if TYPE_CHECKING:
    from kmixer.exporting.artifact import Artifact
    from kmixer.runs.run import Run


def export(
    run: Annotated[Path | None, typer.Argument(help="A finished run folder.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="One that --list prints, such as tflite; may be repeated."),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(
            help="none; float16 or dynamic (8-bit) weights; int8: integers throughout. Default:"
            " none; int8 for micro."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the export folders go; default: export/ in the run's folder."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Points of accuracy that a quantised file may lose.")
    ] = 0.5,
    data: Annotated[
        str | None,
        typer.Option(help="The images to verify it on, of the run's classes; default: its own."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Print the formats and what works, and stop.")
    ] = False,
    backend: Backend = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a run's model as a file that runs without kmixer, and verify its answers.

    The written file is opened again and classifies 256 images; a file that gives other answers than
    the Keras model is not kept.

    Example: kmixer export saved_models/fmnist-1 --format tflite --quantize int8
    """
    from kmixer.errors import SettingsError
    from kmixer.exporting.support import find_format

    from .loading import start

    terminal = Terminal(quiet, as_json)
    if listing:
        _list(terminal)
        return
    if run is None or not formats:
        raise SettingsError("received no RUN or no --format; what there is: kmixer export --list")
    for name in formats:
        find_format(name, quantize)
    opened = _open(run, out, data)  # this and the images before anything slow is imported
    from kmixer.backend import choose

    choose(backend or opened.settings.training.backend)
    with terminal.status() as step:
        step("reading the data")
        from kmixer.exporting.reference_images import load_reference_images

        dataset, missing = load_reference_images(opened, data, data_dir, terminal.say)
        start()
        from kmixer.exporting.export import export_run
        from kmixer.exporting.reference import Reference

        reference = Reference(opened, dataset, missing)
        artifacts = [
            export_run(reference, name, quantize, out=out, max_drop=max_drop, on_step=step)
            for name in formats
        ]
    _print(terminal, artifacts)


def _open(run: Path, out: Path | None, data: str | None) -> "Run":
    """Return a run that can be exported: finished, to a place where files can be written."""
    from kmixer.data import check_name
    from kmixer.errors import RunError
    from kmixer.files import atomic
    from kmixer.runs.run import load_run

    opened = load_run(run)
    opened.check_finished()
    opened.check_model()
    if out is None and atomic.is_read_only(opened.folder / "export"):
        raise RunError(f"{run} is read-only: name another place for the exports with --out DIR")
    if data:
        check_name(data)
    return opened


def _print(terminal: Terminal, artifacts: "list[Artifact]") -> None:
    terminal.table(
        None,
        ["format", "quantized", "bytes", "difference", "same class", "test accuracy", "ms/image"],
        [_row(artifact) for artifact in artifacts],
    )
    first = artifacts[0].manifest["proof"]
    terminal.say(
        f"verified on {first['images']} images ({first['source']}) against {first['reference']};"
        f" Keras' predict takes {first['keras_predict_milliseconds']:.1f} ms an image"
    )
    for note in filter(None, (artifact.manifest["proof"]["note"] for artifact in artifacts)):
        terminal.say(note)
    for artifact in artifacts:
        if needed := artifact.manifest["least_runtime"]:
            terminal.say(f"{artifact.folder.name} needs {needed} or newer, or LiteRT")
        names = ", ".join(artifact.model_files)
        terminal.say(f"in {artifact.folder}: {names}, labels.txt, README.md, …")
    terminal.result({"exports": [{"folder": str(a.folder)} | a.manifest for a in artifacts]})


def _row(artifact: "Artifact") -> list[str]:
    manifest, proof = artifact.manifest, artifact.manifest["proof"]
    accuracy = proof["test_accuracy"]
    return [
        manifest["format"],
        manifest["quantize"],
        f"{artifact.size:,}",
        f"{proof['largest_difference']:.1e}",
        percent(proof["top1_agreement"]),
        f"{percent(accuracy['keras'])} → {percent(accuracy['file'])}" if accuracy else "–",
        f"{proof['milliseconds_per_image']['1 thread']:.3f}",
    ]


def _list(terminal: Terminal) -> None:
    from kmixer.backend import BACKENDS
    from kmixer.exporting.formats import FORMATS, QUANTIZATIONS
    from kmixer.exporting.support import cell_name, missing_modules, support

    cells, rows = support(), []
    for known in FORMATS.values():
        missing = [*missing_modules(known), *filter(None, [known.lacks()])]
        for quantize in known.quantizations:
            tried = [cells[cell_name(backend, known, quantize)] for backend in BACKENDS]
            rows.append([known.name, quantize, *tried, ", ".join(missing) or "ready"])
    terminal.table("trained under", ["format", "quantize", *BACKENDS, "on this machine"], rows)
    for quantize in QUANTIZATIONS:
        without = [known.name for known in FORMATS.values() if quantize not in known.quantizations]
        if without:
            terminal.say(f"no {quantize}: {', '.join(without)}")
    terminal.result({"cells": cells})
