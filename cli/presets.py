"""`kmixer presets`."""

from typing import Annotated

import typer

from .terminal import Json, Terminal


def presets(
    name: Annotated[
        str | None, typer.Argument(help="Print this preset instead of the list.")
    ] = None,
    as_json: Json = False,
):
    """List the shipped presets, or print one.

    Example: kmixer presets fmnist-pyramid
    """
    from kmixer import settings_io

    terminal = Terminal(as_json=as_json)
    if name is not None:
        text = settings_io.preset_text(name)
        terminal.say(text.rstrip())
        terminal.result({"name": name, "settings": settings_io.read_preset(name)})
        return
    names = settings_io.preset_names()
    headings = {each: settings_io.preset_heading(each) for each in names}
    for each, heading in headings.items():
        terminal.say(f"{each:<{max(map(len, names))}}  {heading}")
    terminal.result({"presets": headings})
