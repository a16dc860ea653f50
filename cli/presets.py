"""`kmixer presets`."""

from typing import Annotated

import typer

from .terminal import Json, Terminal


def presets(
    name: Annotated[
        str | None, typer.Argument(help="Print this preset instead of the list.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the shipped presets, or print one.

    Example: kmixer presets fmnist-pyramid
    """
    from kmixer.config import presets

    terminal = Terminal(as_json=as_json)
    if name is not None:
        text = presets.preset_text(name)
        terminal.say_text(text.rstrip())
        terminal.result({"name": name, "settings": presets.read_preset(name)})
        return
    names = presets.preset_names()
    headings = {preset: presets.preset_heading(preset) for preset in names}
    for preset, heading in headings.items():
        terminal.say(f"{preset:<{max(map(len, names))}}  {heading}")
    terminal.result({"presets": headings})
