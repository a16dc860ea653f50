"""The options that set a setting, the same in every command that takes some: `kmixer.options`."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Annotated, Any

from kmixer.options import OPTIONS, Option, by_path

from .image_options import read_size
from .terminal import Backend, DataDir, option

Parameters = list[inspect.Parameter]
OWN = "options"  # the argument of a command that receives them


def with_setting_options(
    only: Iterable[str] | None = None, without: Iterable[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `kmixer.options`, `--backend` and `--data-dir`.

    The command has an argument `options`, which receives those that were given, by their settings'
    paths. In the place of it, Typer sees an argument for each of them. An option that the command
    has itself stays the command's.

    Args:
        only: the names of those that it takes; None: all.
        without: the names of those that it does not.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for name, p in inspect.signature(command).parameters.items() if name != OWN]
        taken = {parameter.name for parameter in own} | set(without)
        names = [name for name in (OPTIONS if only is None else only) if name not in taken]
        kinds = {name: _annotation(OPTIONS[name]) for name in names}
        kinds |= {"backend": Backend, "data_dir": DataDir}

        @wraps(command)
        def with_options(**given: Any) -> None:
            values = {name: given.pop(name) for name in kinds}
            values |= {name: None for name, value in values.items() if value == []}  # not given
            if "image_size" in values:
                values["image_size"] = read_size(values["image_size"])
            command(**given, **{OWN: by_path(values)})

        added = [_parameter(name, kind) for name, kind in kinds.items()]
        parameters = _joined(own, added)
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_options

    return decorate


def _annotation(described: Option) -> Any:
    """Return what Typer makes an option of."""
    if described.metavar is None:
        name = described.path.rpartition(".")[2]
        switch = option(described.help, described.group, f"--{name}/--no-{name}")
        return Annotated[bool | None, switch]
    # The settings check the text, so that errors name the setting's path.
    kind: Any = list[str] | None if described.repeats else str | None
    return Annotated[kind, option(described.help, described.group, metavar=described.metavar)]


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _joined(own: Parameters, added: Parameters) -> Parameters:
    """Return all in the order of `--help`: the added ones before `--set`, which they spare one."""
    at = next((i for i, p in enumerate(own) if p.name == "assignments"), len(own))
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    return [*own[:at], *added, *own[at:]]
