"""The settings' schema: which paths there are, and where in it an error lies."""

from typing import get_args, get_origin

from pydantic import BaseModel

from ..errors import nearest
from . import Settings


def paths(section=Settings, above=""):
    """Return the paths of all settings, whatever the model, the optimizer and the schedule are."""
    found = []
    for name, field in section.model_fields.items():
        path = f"{above}.{name}" if above else name
        listed = get_origin(field.annotation) is list  # its items have no path
        below = () if listed else _sections(section).get(name, ())
        found += [path, *(key for each in below for key in paths(each, path))]
    return list(dict.fromkeys(found))


def one_line(error):
    """Return pydantic's error as one line: the path, what was received, what was expected."""
    problems = error.errors(include_url=False)
    problems.sort(key=lambda problem: problem["type"] == "missing")  # perhaps only misspelt
    first = _describe(problems[0])
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"


def _describe(problem):
    path, fields = _locate(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path}: no such setting{nearest(path.rpartition('.')[2], fields)}"
    if problem["type"] == "missing":
        return f"{path}: received nothing, expected a value"
    if problem["type"] == "value_error":
        text = problem["msg"].removeprefix("Value error, ")
        return f"{path}.{text}" if path else text
    if problem["type"] == "union_tag_invalid":
        tags = problem["ctx"]["expected_tags"].replace("'", "").split(", ")
        received = problem["ctx"]["tag"]
        return f"{path}.name: received {received!r}, no such choice{nearest(received, tags)}"
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{path}: received {brief(problem['input'])}, expected {expected}"


def brief(value):
    """Return a value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _locate(loc):
    """Return the dotted path of an error and the fields valid where it happened."""
    section, path, fields = Settings, [], list(Settings.model_fields)
    for part in loc:
        if section is None:
            break
        sections = _sections(section) if not isinstance(section, list) else section
        if isinstance(section, list):  # a union: this part is the chosen member's name
            section = next((s for s in sections if s.model_fields["name"].default == part), None)
            fields = list(section.model_fields) if section else fields
            continue
        path.append(str(part))
        if isinstance(part, int):  # an item of a list of sections
            continue
        inner = sections.get(part)
        if inner and len(inner) > 1:
            section = inner
        else:
            section = inner[0] if inner else None
            fields = list(section.model_fields) if section else fields
    return ".".join(path), fields


def _sections(section):
    """Return the settings sections below each field of `section`."""
    found = {}
    for name, field in section.model_fields.items():
        options = get_args(field.annotation) or (field.annotation,)
        models = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if models:
            found[name] = models
    return found
