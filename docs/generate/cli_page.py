"""docs/cli.md, from the help of every command."""

from kmixer_cli.main import app
from typer.testing import CliRunner

ENVIRONMENT = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def cli_page():
    """Return the page: an index, then each command's help as a terminal shows it."""
    pages = {words: _help(words) for words in _commands()}
    lines = [
        "# Commands",
        "",
        "What `kmixer COMMAND --help` prints. Written by `python docs/generate`.",
        "",
    ]
    for words, callback in _commands().items():
        summary = callback.__doc__.strip().splitlines()[0]
        lines.append(f"- [`kmixer {words}`](#kmixer-{words.replace(' ', '-')}): {summary}")
    for words, text in pages.items():
        lines += ["", f"## kmixer {words}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def _commands():
    """Return the function of every command by its words."""
    found = {c.name or c.callback.__name__: c.callback for c in app.registered_commands}
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands:
            found[f"{group.name} {command.name or command.callback.__name__}"] = command.callback
    return found


def _help(words):
    result = CliRunner().invoke(
        app, [*words.split(), "--help"], env=ENVIRONMENT, prog_name="kmixer"
    )
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())
