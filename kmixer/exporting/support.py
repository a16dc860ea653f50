"""Which formats this machine can write, and which combinations a test has found to work."""

import json
from importlib.util import find_spec
from pathlib import Path

from ..backend import BACKENDS
from ..errors import SettingsError, nearest
from .formats import FORMATS, QUANTIZATIONS, Format

SUPPORT = Path(__file__).parent / "support.json"
NOT_TRIED = "not tried"


def find_format(name: str, quantize: str = "none") -> Format:
    """Return a format that can be written on this machine.

    Raises:
        SettingsError: the format or the quantization is unknown, they do not go together, or a
            module or a program is not installed.
    """
    if name not in FORMATS:
        raise SettingsError(f"--format: received {name!r}{nearest(name, FORMATS)}")
    if quantize not in QUANTIZATIONS:
        raise SettingsError(f"--quantize: received {quantize!r}{nearest(quantize, QUANTIZATIONS)}")
    known = FORMATS[name]
    if quantize not in known.quantizations:
        able = [other.name for other in FORMATS.values() if quantize in other.quantizations]
        raise SettingsError(
            f"--quantize: received {quantize!r} with --format {name}, which has"
            f" {', '.join(known.quantizations)}; {quantize} is for {', '.join(able)}"
        )
    if missing := missing_modules(known):
        raise SettingsError(
            f"--format: {name} needs {', '.join(missing)}; install with:"
            f" pip install {known.requirement!r}"
        )
    if lacking := known.lacks():
        raise SettingsError(f"--format: {name} needs {lacking}")
    return known


def missing_modules(known: Format) -> list[str]:
    """Return the modules that a format needs and this machine does not have."""
    needed = (known.backend, *known.modules) if known.backend else known.modules
    return [module for module in needed if find_spec(module) is None]


def support() -> dict[str, str]:
    """Return which cells of backend × format × quantization work, as a test has tried them.

    Returns:
        By `"<backend>/<format>/<quantization>"`: `"ok"`, the reason why not, or `"not tried"`.
    """
    cells = {
        cell_name(backend, known, quantize): NOT_TRIED
        for backend in BACKENDS
        for known in FORMATS.values()
        for quantize in known.quantizations
    }
    return cells | json.loads(SUPPORT.read_text(encoding="utf-8"))


def cell_name(backend: str, known: Format, quantize: str) -> str:
    """Return the name of a cell in `support()`."""
    return f"{backend}/{known.name}/{quantize}"
