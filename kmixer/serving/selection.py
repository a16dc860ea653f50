"""Which exported file is served, and under which name."""

import re
import subprocess
import sys
from importlib.util import find_spec

from ..errors import RunError, SettingsError
from ..exporting.artifact import MANIFEST, load_artefact
from ..exporting.formats import FORMATS, QUANTIZATIONS, missing_modules
from ..files.keras_archive import check_run
from ..runs.run import load_run

# Which export of a run is served, if it has several: formats that are fast for single images first,
# and of one format the one that gives the model's own answers.
PREFERRED = ("tflite", "onnx", "openvino", "saved_model", "torch")


MODULES = ("fastapi", "uvicorn", "prometheus_client")


def find_artefact(folder, say=lambda line: None):
    """Return the `Artefact` to serve: an export folder's, or one of a run's by `PREFERRED`.

    Args:
        folder: of an export or of a run; a run without an export is exported first, in a process
            of its own, so that this one needs no Keras.
        say: called with what is being done.

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
        _export(folder, say)
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
    manifest = artefact.manifest
    return PREFERRED.index(manifest["format"]), QUANTIZATIONS.index(manifest["quantize"])


def _check(folder):
    """Refuse a run that cannot be exported before a process is started for it."""
    run = load_run(folder)
    run.check_finished()
    check_run(run)


def _export(folder, say):
    """Export a run in a process of its own, which is told to stop when this one is."""
    _check(folder)
    say(f"{folder} has no export that this machine can open; exporting it to TFLite")
    command = [sys.executable, "-m", "kmixer_cli", "export", str(folder), "--format", "tflite"]
    child = subprocess.Popen([*command, "--quiet"], stderr=subprocess.PIPE, text=True)
    try:
        _, said = child.communicate()
    except BaseException:
        child.terminate()  # it removes what is half done
        child.communicate()
        raise
    if child.returncode:
        raise RunError(said.strip().removeprefix("kmixer: ") or "the export failed")
