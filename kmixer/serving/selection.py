"""Choose the exported file to serve, and its name in the addresses."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ..errors import SettingsError
from ..exporting.artifact import Artifact, find_export, load_artifact
from ..exporting.formats import FORMATS, QUANTIZATIONS
from ..exporting.manifest import MANIFEST
from ..exporting.support import missing_modules
from ..runs.naming import run_path
from ..runs.run import load_run

EXPORTS = "export"  # the folder in a run's that holds its exports
LONGEST_NAME = 100
MODULES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")


def find_artifact(folder: Path, export: Callable[[Path], Path]) -> Artifact:
    """Return the export to serve: the folder itself, or the preferred export of a run.

    Args:
        folder: of an export, or the model's file in it; or of a run, or its name.
        export: called with the run folder if it has no export that this machine can open; it is to
            write one, in another process, so that this one needs no Keras, and to return the folder
            that holds the export's.

    Raises:
        SettingsError: the server's modules are not installed.
        RunError: the folder is neither, or cannot be exported.
    """
    check_modules()
    folder = run_path(folder)
    if export_folder := find_export(folder):
        return load_artifact(export_folder)
    artifacts = _usable_exports(folder / EXPORTS)
    if not artifacts:
        _check_exportable(folder)
        artifacts = _usable_exports(export(folder))
    return artifacts[0]


def check_modules() -> None:
    """Refuse to begin without the modules that serving needs.

    Raises:
        SettingsError: some are not installed.
    """
    missing = [module for module in MODULES if find_spec(module) is None]
    if missing:
        raise SettingsError(
            f"serving needs {', '.join(missing)}; install with: pip install 'kmixer[serve]'"
        )


def check_served_name(name: str | None) -> None:
    """Refuse a name that cannot be part of an address; None is fine.

    Raises:
        SettingsError: see above.
    """
    if name is not None and not _is_address_part(name):
        raise SettingsError(
            f"--name: received {name[:100]!r}, expected letters, digits, '.', '_' and '-'"
        )


def served_name(artifact: Artifact, name: str | None = None) -> str:
    """Return the model's name in the addresses: `name`, or the run's, made fit for an address.

    Raises:
        SettingsError: `name` cannot be part of an address.
    """
    check_served_name(name)
    fitting = re.sub(r"[^\w.-]+", "-", artifact.manifest["run"]["name"])[:LONGEST_NAME]
    return name or (fitting if _is_address_part(fitting) else "model")


def _is_address_part(name: str) -> bool:
    """Whether a name may be a part of an address; clients leave out one of dots alone."""
    fits = re.fullmatch(r"[\w.-]+", name) is not None and name.strip(".") != ""
    return fits and len(name) <= LONGEST_NAME


def _usable_exports(folder: Path) -> list[Artifact]:
    """Return the exports in a folder that can be opened here, the preferred first."""
    artifacts = [load_artifact(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    return sorted(filter(_is_usable, artifacts), key=_preference)


def _is_usable(artifact: Artifact) -> bool:
    known = FORMATS[artifact.manifest["format"]]
    return known.serving_rank is not None and not missing_modules(known)


def _preference(artifact: Artifact) -> tuple[int, int]:
    """Return a sort key: by format, and within one the least quantized first."""
    manifest = artifact.manifest
    rank = FORMATS[manifest["format"]].serving_rank
    assert rank is not None  # of those that are usable
    return rank, QUANTIZATIONS.index(manifest["quantize"])


def _check_exportable(folder: Path) -> None:
    """Refuse a run that cannot be exported before a process is started for it."""
    run = load_run(folder)
    run.check_finished()
    run.check_model()
