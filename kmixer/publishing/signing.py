"""Sign a run or an export."""

from __future__ import annotations

from pathlib import Path

from ..errors import RunError
from ..exporting import contents
from ..exporting.artifact import Artifact, find_export, load_artifact
from ..exporting.signed import check_nothing_beside, export_contents
from ..files import atomic, signature
from ..files.keys import PrivateKey
from ..files.signature import SIGNATURE_FILE
from ..runs.naming import run_path
from ..runs.run import (
    CONFIG_FILE,
    HISTORY_FILE,
    LABELS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    Run,
    load_run,
)
from ..runs.seen_images import SEEN_FILE

# What a run's model is and what is claimed of it. Its card, pictures, exports, evaluations, logs
# and checkpoints are not signed; an export has a signature of its own.
SIGNED = (CONFIG_FILE, LABELS_FILE, MODEL_FILE, METRICS_FILE)
# metrics.json, which is signed, holds checksums of what these hold.
CHECKED = (HISTORY_FILE, SEEN_FILE)


def open_folder(path: str | Path) -> Artifact | Run:
    """Open an export or a run, by its folder, the model's file in an export, or a run's name.

    Raises:
        RunError: it is neither, or damaged.
    """
    folder = run_path(path)
    if export := find_export(folder):
        return load_artifact(export)
    if not (folder / CONFIG_FILE).exists():
        raise RunError(
            f"{folder}: neither a run nor an export: it holds no config.yaml and no manifest.json"
        )
    return load_run(folder)


def run_contents(folder: Path) -> dict[str, bytes]:
    """Return the content of the files of a run that are signed, or checked by one that is.

    Raises:
        RunError: one is a link or no plain file, or they are too large together.
    """
    names = [name for name in (*SIGNED, *CHECKED) if (folder / name).exists()]
    files = {name: contents.read_plainly(folder, name) for name in names}
    if sum(map(len, files.values())) > contents.MOST_BYTES:
        raise RunError(f"{folder}: its files have more than {contents.MOST_BYTES:,} bytes together")
    return files


def signed_contents(opened: Artifact | Run) -> dict[str, bytes]:
    """Return the content of the files that a signature is over, by their names."""
    if isinstance(opened, Artifact):
        check_nothing_beside(opened)
        return export_contents(opened)
    return {name: file for name, file in run_contents(opened.folder).items() if name in SIGNED}


def sign_folder(opened: Artifact | Run, key: PrivateKey) -> list[str]:
    """Sign a run or an export: write `model.sig` into its folder, over an older one.

    Returns:
        The names of the files that are signed.

    Raises:
        RunError: a run is not finished, or its files do not belong together; a file of an export is
            not the one that its manifest lists; the folder cannot be written.
    """
    if isinstance(opened, Run):
        opened.check_finished()
        opened.check_model()
    atomic.check_writable(opened.folder / SIGNATURE_FILE)
    files = signed_contents(opened)
    text = signature.sign(files, opened.folder.resolve().name or "model", key)
    atomic.write_text(opened.folder / SIGNATURE_FILE, text)
    return sorted(files)
