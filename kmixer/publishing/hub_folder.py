"""The folder that the Hugging Face Hub expects of a model: its card, the run, its exports."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import find_source
from ..data.image_files import as_pixels
from ..errors import RunError, SettingsError
from ..exporting import contents
from ..exporting.artifact import load_artifact, model_bytes
from ..exporting.manifest import MANIFEST
from ..exporting.signed import export_contents, read_signature
from ..files import staging
from ..files.keras_archive import CONFIG, MEMBERS, WEIGHTS
from ..files.signature import SIGNATURE_FILE
from ..runs.card import HubPage, hub_card
from ..runs.example_image import EXAMPLE_FILE
from ..runs.inference import Prediction
from ..runs.numpy_model import numpy_model
from ..runs.run import (
    CARD_FILE,
    CONFIG_FILE,
    HISTORY_FILE,
    LABELS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    Run,
)

FOLDER = "hub"  # in the run's
EXPORTS = "export"
# Not the digests of the images that it was trained on: they tell whether an image was among them.
PUBLISHED = (CONFIG_FILE, LABELS_FILE, MODEL_FILE, METRICS_FILE, HISTORY_FILE, EXAMPLE_FILE)
ANSWERS = 5  # of the example's classes that the card shows
_WRITTEN = {*PUBLISHED, *MEMBERS, SIGNATURE_FILE, CARD_FILE, EXPORTS}


def write_hub_folder(
    run: Run,
    *,
    out: str | Path | None = None,
    repository: str | None = None,
    license_name: str | None = None,
    begin: Callable[[Run], object],
) -> Path:
    """Write what a repository of the Hub is to hold; the folder is whole or not there.

    It is a run folder, which `load_run` opens, with the card as its page. `model.keras` is there
    twice: as the run's file, and unpacked, which is how `keras.saving.load_model("hf://…")` reads
    it. Exports and signatures are taken along as they are.

    Args:
        run: a finished run.
        out: the folder; default `hub/` in the run's. One that an earlier call wrote is replaced.
        repository: its name on the Hub, `USER/NAME`, for the card's lines; None: not known yet.
        license_name: as the Hub calls it, such as `mit`; None: the card names none.
        begin: called with the run before Keras is needed; it chooses the backend.

    Returns:
        The folder.

    Raises:
        SettingsError: the license is no identifier.
        RunError: the run is not finished or damaged, so is an export, or the folder cannot be
            written.
    """
    check_license(license_name)
    run.check_finished()
    run.check_model()
    folder = Path(out or run.folder / FOLDER)
    _check_replaceable(folder)
    files = _run_files(run)
    exports = _exports(run, files)
    page = HubPage(
        model=f"hf://{repository}" if repository else MODEL_FILE,
        license=license_name,
        answers=_answers(run, begin),
        exports=exports,
        signed=_signed(files, exports),
    )
    files[CARD_FILE] = hub_card(run, run.metrics if run.finished else None, page).encode()
    with staging.replacing_folder(folder, WEIGHTS, None if out else run.folder) as staged:
        for name, content in files.items():
            path = staged / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def check_license(name: str | None) -> None:
    """Refuse what cannot be the Hub's identifier of a license; None is fine.

    Raises:
        SettingsError: see above.
    """
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,60}", name):
        raise SettingsError(
            f"--license: received {name[:100]!r}, expected the Hub's name of one, such as mit,"
            " apache-2.0, cc-by-4.0 or other"
        )


def private_names(run: Run) -> str | None:
    """Return which folder of this machine the published config.yaml names, or None."""
    name = run.settings.data.name
    return name if name is not None and find_source(name).is_path else None


def _run_files(run: Run) -> dict[str, bytes]:
    """Return what is published of a run's own files, and model.keras unpacked."""
    names = [name for name in (*PUBLISHED, SIGNATURE_FILE) if (run.folder / name).exists()]
    files = {name: contents.read_plainly(run.folder, name) for name in names}
    with zipfile.ZipFile(io.BytesIO(files[MODEL_FILE])) as archive:  # checked with the run
        return files | {name: archive.read(name) for name in sorted(MEMBERS)}


def _exports(run: Run, files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Add a run's exports to the files; return what the card says of them."""
    told = []
    for path in sorted((run.folder / EXPORTS).glob(f"[!.]*/{MANIFEST}")):
        artifact = load_artifact(path.parent)
        folder, manifest = f"{EXPORTS}/{artifact.folder.name}", artifact.manifest
        held = export_contents(artifact)
        if (artifact.folder / SIGNATURE_FILE).exists():
            held[SIGNATURE_FILE] = read_signature(artifact.folder)
        files |= {f"{folder}/{name}": content for name, content in held.items()}
        told.append(
            {"folder": folder, "bytes": model_bytes(manifest)}
            | {key: manifest[key] for key in ("format", "quantize")}
        )
    return told


def _signed(files: dict[str, bytes], exports: Sequence[dict[str, Any]]) -> list[str]:
    """Return what of the folder is signed, in words."""
    number = sum(f"{export['folder']}/{SIGNATURE_FILE}" in files for export in exports)
    parts = ["the run"] if SIGNATURE_FILE in files else []
    return [*parts, f"{number} of {len(exports)} exports"] if number else parts


def _answers(run: Run, begin: Callable[[Run], object]) -> list[tuple[str, float]]:
    """Return what the model says of the example image: (class, probability), the best first."""
    path = run.folder / EXAMPLE_FILE
    if not path.is_file():
        return []
    pixels = as_pixels(path, run.decoding)
    if model := numpy_model(run):
        probabilities = model(pixels)
    else:
        begin(run)
        probabilities = run.predict(pixels)
    return Prediction(path, np.asarray(probabilities[0])).top(run.class_names, ANSWERS)


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything which an earlier call did not write."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name not in _WRITTEN:
            raise RunError(
                f"{folder}: already there, and {path.name!r:.200} in it would be lost; choose"
                " another --out"
            )
    if any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise RunError(f"{folder}: already there, and not written by push; choose another --out")
