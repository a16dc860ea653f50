"""Export a finished run to a file that runs without kmixer and Keras, verified against Keras."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SettingsError
from ..files import atomic, staging
from ..files.checksums import checksum, checksums
from ..runs import provenance
from ..runs.card import export_card
from ..runs.example_image import write_example
from . import subprocesses, verification
from .artifact import Artifact, check_replaceable, load_artifact, model_bytes
from .convert_process import convert
from .formats import FORMATS, Format
from .manifest import MANIFEST
from .support import find_format
from .verification import Accuracy, Comparison
from .verify_process import verify

if TYPE_CHECKING:
    from .reference import Reference


def export_run(
    reference: Reference,
    name: str,
    quantize: str = "none",
    *,
    out: str | Path | None = None,
    max_drop: float = 0.5,
    on_step: Callable[[str], Any] = lambda message: None,
) -> Artifact:
    """Write a run's model in a format, and keep the file only if it gives the same answers.

    Args:
        reference: the run's Keras model and its answers.
        name: of the format, one of `FORMATS`.
        quantize: one of `QUANTIZATIONS`.
        out: the folder that export folders are written to; default `export/` in the run's.
        max_drop: points of accuracy that a quantized file may lose.
        on_step: called with the name of each step as it begins.

    Returns:
        The export folder, as it can be opened.

    Raises:
        SettingsError: the format is unknown, cannot be written here, or lacks training images.
        RunError: the conversion failed, or the file gives other answers; nothing is left of it.
    """
    export_format, run = find_format(name, quantize), reference.run
    _check_calibration(reference, quantize)
    export_name = name if quantize == "none" else f"{name}-{quantize}"
    folder = Path(out or run.folder / "export") / export_name
    check_replaceable(folder)
    with (
        staging.replacing_folder(folder, MANIFEST, within=None if out else run.folder) as staged,
        tempfile.TemporaryDirectory() as temporary,
    ):
        images = Path(temporary, "images.npz")
        _save_images(images, reference, quantize)
        job = {"run": str(run.folder), "format": name, "quantize": quantize, "folder": str(staged),
               "path": str(staged / export_format.file), "images": str(images)}  # fmt: skip
        on_step(f"{export_name}: converting")
        converted = subprocesses.call(
            convert, job, backend=export_format.backend, task=f"{export_name}: converting"
        )
        on_step(f"{export_name}: verifying")
        proof = _verify(job, reference, export_name, max_drop)
        _describe(staged, export_format, quantize, reference, proof, converted["least_runtime"])
    return load_artifact(folder)


def _check_calibration(reference: Reference, quantize: str) -> None:
    if quantize == "int8" and reference.dataset is None:
        raise SettingsError(
            f"{reference.run.folder}: int8 is calibrated on training images, and"
            f" {reference.missing or 'the run has none'}; name a data set with --data"
        )


def _save_images(path: Path, reference: Reference, quantize: str) -> None:
    """Write the images that the two processes need: `images`, `test`, `representative`."""
    arrays = {"images": reference.images}
    if quantize != "none" and reference.dataset:
        arrays["test"] = np.asarray(reference.dataset.test.images)
    if quantize == "int8":
        arrays["representative"] = reference.calibration_images
    np.savez(path, allow_pickle=False, **arrays)


def _verify(
    job: subprocesses.Job, reference: Reference, export_name: str, max_drop: float
) -> dict[str, Any]:
    """Compare the written file with the Keras model, time it, and return the manifest's `proof`."""
    task = f"{export_name}: opening the written file"
    path = Path(job["images"]).with_name("answers.npz")
    answered = subprocesses.call(verify, job | {"threads": 1, "answers": str(path)}, task=task)
    with np.load(path) as answers:
        comparison = verification.compare(
            reference.probabilities, answers["images"], _accuracy(reference, answers)
        )
    note = verification.check(comparison, export_name, job["quantize"], max_drop)
    seconds = {"1 thread": answered["seconds_per_image"]}
    if FORMATS[job["format"]].threaded:
        # Another process: TensorFlow takes the number only once, and the threads of a file that is
        # still open would disturb the timing.
        timed = subprocesses.call(verify, job | {"threads": 2, "answers": None}, task=task)
        seconds["2 threads"] = timed["seconds_per_image"]
    return _proof(comparison, answered["runtime"], seconds, reference) | {"note": note}


def _accuracy(reference: Reference, answers: Mapping[str, np.ndarray]) -> Accuracy | None:
    """Return the answers to the test set, which only a quantized file is asked about."""
    if reference.dataset is None or "test" not in answers:
        return None
    right = answers["test"].argmax(axis=1) == reference.dataset.test.labels
    return Accuracy(reference.right, right)


def _proof(
    comparison: Comparison, runtime: str, seconds: dict[str, float], reference: Reference
) -> dict[str, Any]:
    import keras

    accuracy = None
    if comparison.accuracy and reference.dataset:
        accuracy = {"keras": comparison.accuracy.keras, "file": comparison.accuracy.file,
                    "images": len(reference.dataset.test),
                    "lost_points_interval": list(comparison.accuracy.interval)}  # fmt: skip
    return {
        "runtime": runtime,
        "reference": f"Keras {keras.__version__} on {keras.backend.backend()}, float32",
        "images": comparison.images,
        "source": reference.source,
        "largest_difference": comparison.largest_difference,
        "top1_agreement": comparison.agreement,
        "milliseconds_per_image": {
            threads: round(1e3 * value, 4) for threads, value in seconds.items()
        },
        "keras_predict_milliseconds": round(1e3 * reference.predict_seconds, 3),
        "device": provenance.processor(),
        "test_accuracy": accuracy,
    }


def _describe(
    folder: Path,
    export_format: Format,
    quantize: str,
    reference: Reference,
    proof: dict[str, Any],
    least_runtime: str | None,
) -> None:
    """Write labels.txt, the model card, and last the manifest with the checksums of them all."""
    run = reference.run
    shape = list(run.info["input_shape"])
    size = [None, None] if export_format.any_size else shape[:2]
    shutil.copyfile(run.folder / "labels.txt", folder / "labels.txt")
    write_example(folder, reference.images[0])
    manifest = {
        "format": export_format.name,
        "quantize": quantize,
        "file": export_format.file,
        "least_runtime": least_runtime,
        "class_names": list(run.class_names),
        "input": {"name": "images", "dtype": "uint8", "shape": [None, *size, shape[2]],
                  "trained_on": shape},
        "output": {"name": "probabilities", "dtype": "float32",
                   "shape": [None, len(run.class_names)]},
        "run": {"name": run.name} | run.info,
        "settings": run.settings.model_dump(mode="json"),
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": provenance.versions(),
        "proof": proof,
    }  # fmt: skip
    files = checksums(folder)
    manifest["files"] = files
    card = export_card(
        run,
        manifest,
        size=model_bytes(manifest),
        usage=export_format.usage,
        library=export_format.library,
        language=export_format.language,
    )
    atomic.write_text(folder / "README.md", card)
    files["README.md"] = checksum(folder / "README.md")
    atomic.write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
