"""docs/python.md, from the docstrings of the public names."""

import importlib
import inspect
import re
import textwrap
from operator import itemgetter

from pydantic import BaseModel

from kmixer import Run

PACKAGES = {
    "kmixer": "Train, resume, open and import runs.",
    "kmixer.layers": "The Keras layers; registered, so that a saved model loads them.",
    "kmixer.models": "Functions that build a `keras.Model`: uint8 images → float32 logits.",
    "kmixer.augment": "Keras layers that change batches of uint8 images.",
    "kmixer.tuning": "For searches of one's own with KerasTuner.",
}
SECTIONS = re.compile(
    r"^(Args|Attributes|Returns|Yields|Raises|Example):\n((?:(?:    .*)?\n)+)", re.M
)


def python_page():
    """Return the page: every public name with its signature and what its docstring says."""
    lines = ["# From Python", "", "Every public name. Written by `python docs/generate`."]
    for package, summary in PACKAGES.items():
        lines += ["", f"## {package}", "", summary]
        module = importlib.import_module(package)
        for name in sorted(set(module.__all__) - {key.partition(".")[2] for key in PACKAGES}):
            lines += ["", *_entry(package, name, getattr(module, name))]
    lines += ["", "## A run", "", "What `kmixer.train` and `kmixer.load_run` return.", ""]
    lines += _body(Run)
    of_its_base = vars(Run.__base__).items()
    for name, value in sorted([*of_its_base, *vars(Run).items()], key=itemgetter(0)):
        if not name.startswith("_") and isinstance(value, property):
            lines += ["", f"### Run.{name}", "", *_body(value)]
        elif not name.startswith("_") and inspect.isfunction(value):
            lines += ["", *_entry("Run", name, value)]
    return "\n".join(lines) + "\n"


def _entry(package, name, value):
    if not callable(value):
        return [f"### {package}.{name}", "", f"A `{type(value).__name__}`."]
    settings = inspect.isclass(value) and issubclass(value, BaseModel)
    signature = f"{package}.{name}{'(**sections)' if settings else inspect.signature(value)}"
    return [
        f"### {package}.{name}",
        "",
        "```python",
        *_wrapped(signature),
        "```",
        "",
        *_body(value),
    ]


def _wrapped(signature):
    """Return a signature, an argument a line where it is long."""
    signature = re.sub(r"<[^>]*>|\bForwardRef\('(\w+)'\)", r"\1", signature).replace("'", '"')
    if len(signature) <= 88:
        return [signature]
    head, rest = signature.split("(", 1)
    inner, tail = rest.rsplit(")", 1)
    parts = re.split(r", (?=[\w*]+(?::|=|,|$))", inner)
    return [f"{head}(", *(f"    {part}," for part in parts), f"){tail}"]


def _body(value):
    """Return a docstring as Markdown: paragraphs, a list a section, the example as code."""
    text = inspect.getdoc(value) + "\n"
    return SECTIONS.sub(lambda m: _section(m[1], textwrap.dedent(m[2])), text).rstrip().splitlines()


def _section(title, text):
    if title == "Example":
        return f"```pycon\n{text.strip()}\n```\n"
    items = re.split(r"\n(?=\S)", text.strip())
    if title in ("Returns", "Yields") and not re.match(r"\w+: ", items[0]):
        return f"**{title}** {' '.join(text.split())}\n\n"
    rows = [re.sub(r"^([\w.*, ]+): ", r"`\1`: ", " ".join(item.split())) for item in items]
    return f"**{title}**\n\n" + "".join(f"- {row}\n" for row in rows) + "\n"
