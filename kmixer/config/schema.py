"""Paths of settings, and pydantic's validation errors as one line."""

from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ..errors import nearest
from ..options import path_of
from . import Settings

LONGEST_VALUE = 60  # characters


def paths(section: type[BaseModel] = Settings, above: str = "") -> list[str]:
    """Return the paths of all settings, of every model, optimizer and schedule."""
    found = []
    for name, field in section.model_fields.items():
        path = f"{above}.{name}" if above else name
        is_list = get_origin(field.annotation) is list  # its items have no path
        below = [] if is_list else _sections(section, name)
        found += [path, *(key for inner in below for key in paths(inner, path))]
    return list(dict.fromkeys(found))


def validation_message(
    error: ValidationError, model: type[BaseModel] = Settings, above: str = ""
) -> str:
    """Return pydantic's error as one line: the key's path, what was received, what was expected.

    Args:
        error: what `model.model_validate` raised.
        model: the class that was validated.
        above: a path that comes before the key's, such as `search.model.blocks`.
    """
    problems = error.errors(include_url=False)
    problems.sort(key=lambda problem: problem["type"] == "missing")  # perhaps only misspelt
    keys, section = _locate(problems[0]["loc"], model)
    same = [problem for problem in problems if _locate(problem["loc"], model)[0] == keys]
    path = ".".join([above, *keys] if above else keys)
    message, others = _describe(same, path, section), len(problems) - len(same)
    return f"{message} (and {others} more)" if others else message


def _describe(problems: Sequence[Any], path: str, section: type[BaseModel]) -> str:
    """Return what is wrong with one key; with several problems it is none of several kinds."""
    problem = problems[0]
    match problem["type"]:
        case "extra_forbidden":
            if meant := path_of(path):
                return f"{path}: no such setting (meant: {meant!r})"
            key = path.rpartition(".")[2]
            return f"{path}: no such setting{nearest(key, section.model_fields)}"
        case "missing":
            return f"{path}: received nothing, expected a value"
        case "value_error":
            return _join(path, problem["msg"].removeprefix("Value error, "))
        case "union_tag_invalid":
            choices = problem["ctx"]["expected_tags"].replace("'", "").split(", ")
            received = problem["ctx"]["tag"]
            return f"{path}.name: received {received!r}, no such choice{nearest(received, choices)}"
    expected = ", or ".join(dict.fromkeys(map(_expected, problems)))
    return f"{path}: received {shorten(problem['input'])}, expected {expected}"


def _expected(problem: Any) -> str:
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return "true or false" if expected == "boolean" else expected


def _join(path: str, message: str) -> str:
    """Put a section's path before a validator's message, which may begin with a key of it."""
    if not path:
        return message
    return f"{path}: {message}" if message.startswith("received") else f"{path}.{message}"


def shorten(value: object) -> str:
    """Return a value as an error shows it."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _locate(
    loc: Sequence[int | str], section: type[BaseModel]
) -> tuple[list[str], type[BaseModel]]:
    """Return the keys that lead to an error, and the section that holds the last of them.

    Args:
        loc: pydantic's location: keys, indices of lists, and after the key of a union the name of
            the section that was chosen.
        section: where it begins.
    """
    if not loc:
        return [], section
    key, *rest = loc
    keys, sections = [str(key)], _sections(section, str(key))
    if len(sections) > 1 and rest:
        name = rest.pop(0)
        sections = [choice for choice in sections if choice.model_fields["name"].default == name]
    if rest and isinstance(rest[0], int):
        keys.append(str(rest.pop(0)))
    if not sections or not rest:
        return keys, section
    below, inner = _locate(rest, sections[0])
    return keys + below, inner


def _sections(section: type[BaseModel], key: str) -> list[type[BaseModel]]:
    """Return the settings sections that may stand below a key of `section`."""
    if key not in section.model_fields:
        return []
    annotation = section.model_fields[key].annotation
    options = get_args(annotation) or (annotation,)
    return [
        option for option in options if isinstance(option, type) and issubclass(option, BaseModel)
    ]
