"""The `kmixer` command; heavy imports stay inside the commands, so that `--help` comes at once."""

import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from . import (
    answers,
    benchmark,
    compare,
    data,
    evaluate,
    export,
    find_lr,
    finetune,
    import_weights,
    models,
    output,
    predict,
    presets,
    push,
    report,
    reproduce,
    serve,
    sign,
    speedrun,
    streams,
    sweep,
    terminal,
    train,
    tune,
    verify,
)

CTRL_C = 130
BOXED = 80  # columns from which the boxes of --help cut no word, such as an option's name

app = typer.Typer(
    name="kmixer",
    help="Train, compare, tune and ship small all-MLP image classifiers on any Keras backend.",
    epilog="Exit codes: 0 done · 1 failure · 2 usage or settings · 3 diverged · 130 Ctrl-C ·"
    " 143 SIGTERM · 129 SIGHUP",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("finetune")(finetune.finetune)
app.command("find-lr")(find_lr.find_lr)
app.command("resume")(train.resume)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("sweep")(sweep.sweep)
app.command("reproduce")(reproduce.reproduce)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("answers")(answers.answers)
app.command("export")(export.export)
app.command("predict")(predict.predict)
app.command("serve")(serve.serve)
app.command("sign")(sign.sign)
app.command("verify")(verify.verify)
app.command("push")(push.push)
app.command("import-weights")(import_weights.import_weights)
app.command("models")(models.models)
app.command("presets")(presets.presets)
app.command("benchmark")(benchmark.benchmark)
app.command("speedrun")(speedrun.speedrun)
app.add_typer(data.app, name="data")


def _print_version(requested: bool) -> None:
    if requested:
        from kmixer import __version__

        typer.echo(f"kmixer {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (anywhere in the line).")
    ] = False,
) -> None:
    """Train, compare, tune and ship small all-MLP image classifiers on any Keras backend."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; errors are one line on stderr."""
    streams.prepare_streams()
    streams.prepare_warnings()
    os.environ["MPLBACKEND"] = "agg"  # figures are files; a notebook's may not be installed here
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    from kmixer.errors import InterruptedRunError
    from kmixer.runs.signals import terminations_as_errors

    try:
        with terminations_as_errors():
            code = _run(arguments)
        if code == CTRL_C:  # Typer catches KeyboardInterrupt and prints nothing
            _fail("interrupted", CTRL_C)
        _end(code)
    except KeyboardInterrupt:
        _fail("interrupted", CTRL_C)
    except BrokenPipeError:  # the reader, such as `head`, has ended
        sys.stderr.close()
        sys.exit(1)
    except (Exception, InterruptedRunError) as error:
        if debug:
            _print_traceback()
        _fail(_describe(error), getattr(error, "exit_code", 1))


def _run(arguments: list[str]) -> int | None:
    """Run the command; where --help's boxes do not fit it is plain text."""
    columns = shutil.get_terminal_size().columns
    app.rich_markup_mode = "rich" if columns >= BOXED else None
    code: int | None = app(
        args=arguments, prog_name="kmixer", standalone_mode=False, terminal_width=columns
    )
    return code


def _end(code: int | None) -> NoReturn:
    """Exit; where something that was printed is lost, say why, with exit code 1."""
    from kmixer.errors import file_problem

    if not code and (problem := output.lost_output()):
        lost = f"stdout: {file_problem(problem)}; what was printed is lost, the files are written"
        _fail("" if output.is_reader_gone(problem) else lost, 1)
    sys.exit(code)


def _print_traceback() -> None:
    from kmixer.files.printable import printable_lines

    typer.echo(printable_lines(traceback.format_exc()), err=True, nl=False)


def _describe(error: BaseException) -> str:
    """Return an error as one line; an unforeseen one with its type and the way to its traceback."""
    if hasattr(error, "format_message"):  # a usage error of Typer
        return _describe_usage(error.format_message(), getattr(error, "ctx", None))
    from kmixer.errors import KmixerError, describe

    known = isinstance(error, KmixerError) or hasattr(error, "exit_code")
    return describe(error) + ("" if known else " (--debug shows where)")


def _describe_usage(message: str, context: typer.Context | None) -> str:
    if not message:
        return ""  # the help page has been printed instead
    hint = f" (see: {context.command_path} --help)" if context else ""
    return " ".join(message.split()) + hint


def _fail(message: str, code: int) -> NoReturn:
    if message:
        terminal.say_error(message)
    sys.exit(code)
