"""An exported model behind HTTP: TensorFlow Serving's REST shape, and a page for people."""

import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec

from ..errors import RunError, SettingsError
from ..exporting.artifact import MANIFEST, load_artefact
from ..exporting.formats import FORMATS, QUANTIZATIONS, missing_modules
from ..files.keras_archive import check_run
from ..runs.run import load_run

__all__ = ["build_app", "check_name", "find_artefact", "listening", "run", "served_name"]

# Which export of a run is served, if it has several: formats that are fast for single images first,
# and of one format the one that gives the model's own answers.
PREFERRED = ("tflite", "onnx", "openvino", "saved_model", "torch")
MODULES = ("fastapi", "uvicorn", "prometheus_client")
SECONDS_TO_FINISH = 10  # what is being answered when the server is told to stop


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


@contextmanager
def listening(host, port):
    """Yield a socket that listens, and its address as one types it.

    Raises:
        RunError: the port is taken, or the host is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio lets small answers go at once instead of after 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
            opened.listen(2048)
        except OSError as error:
            raise RunError(
                f"{host}:{port}: {error.strerror}; choose another --port or --host"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        yield opened, f"http://{shown}:{opened.getsockname()[1]}"


def build_app(*arguments, **options):
    """See `kmixer.serving.app.build_app`."""
    from .app import build_app as build

    return build(*arguments, **options)


def run(app, listener):
    """Serve until SIGINT or SIGTERM; what is being answered is answered."""
    import uvicorn

    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SECONDS_TO_FINISH,
        server_header=False,
    )  # fmt: skip
    uvicorn.Server(settings).run(sockets=[listener])
