"""Which exported file is served, and under which name."""

import re
from importlib.util import find_spec

from ..errors import SettingsError
from ..exporting.artifact import MANIFEST, load_artefact
from ..exporting.formats import FORMATS, QUANTIZATIONS, missing_modules
from ..files.keras_archive import check_run
from ..runs.run import load_run

MODULES = ("fastapi", "uvicorn", "prometheus_client")


def find_artefact(folder, export):
    """Return the `Artefact` to serve: an export folder's, or the preferred one of a run's.

    Args:
        folder: of an export or of a run.
        export: called with the folder of a run that has no export this machine can open; it is to
            write one. It should do so in another process, so that this one needs no Keras.

    Raises:
        SettingsError: what serves is not installed.
        RunError: the folder is neither, or cannot be exported.
    """
    missing = [module for module in MODULES if find_spec(module) is None]
    if missing:
        raise SettingsError(
            f"serving needs {', '.join(missing)}; install with: pip install 'kmixer[serve]'"
        )
    if (folder / MANIFEST).is_file():
        return load_artefact(folder)
    found = _exports(folder)
    if not found:
        _check_exportable(folder)
        export(folder)
        found = _exports(folder)
    return found[0]


def check_name(name):
    """Refuse a name, other than None, that does not fit into an address.

    Raises:
        SettingsError: see above.
    """
    if name is not None and not re.fullmatch(r"[\w.-]+", name):
        raise SettingsError(
            f"--name: received {name!r}, expected letters, digits, '.', '_' and '-'"
        )


def served_name(artefact, name=None):
    """Return the name under which an artefact is served: `name`, or its run's, fit for an address.

    Raises:
        SettingsError: the name given is not.
    """
    check_name(name)
    return name or re.sub(r"[^\w.-]+", "-", artefact.manifest["run"]["name"]) or "model"


def _exports(folder):
    """Return the `Artefact`s of a run that can be opened here, the preferred first."""
    opened = [load_artefact(path.parent) for path in sorted(folder.glob(f"export/*/{MANIFEST}"))]
    able = [a for a in opened if not missing_modules(FORMATS[a.manifest["format"]])]
    return sorted(able, key=_preference)


def _preference(artefact):
    """Return what artefacts are sorted by: of one format, the model's own answers come first."""
    manifest = artefact.manifest
    rank = FORMATS[manifest["format"]].serving_rank
    return rank, QUANTIZATIONS.index(manifest["quantize"])


def _check_exportable(folder):
    """Refuse a run that cannot be exported before a process is started for it."""
    run = load_run(folder)
    run.check_finished()
    check_run(run)
