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
from ..evaluation.answers import choose_answers
from ..evaluation.predictions import Predictions
from ..files import atomic, staging
from ..files.checksums import checksum, checksums
from ..files.signature import SIGNATURE_FILE, warn_of_loss
from ..runs import provenance
from ..runs.answers import SMALLEST_OF_8_BITS, Answers
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


OF_8_BITS = ("dynamic", "int8")  # whose answers have thresholds of their own


def export_run(
    reference: Reference,
    name: str,
    quantize: str | None = None,
    *,
    out: str | Path | None = None,
    max_drop: float = 0.5,
    on_step: Callable[[str], Any] = lambda message: None,
) -> Artifact:
    """Write a run's model in a format, and keep the file only if it gives the same answers.

    Args:
        reference: the run's Keras model and its answers.
        name: of the format, one of `FORMATS`.
        quantize: one of `QUANTIZATIONS`; None: the format's own default, mostly `"none"`.
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
    default = export_format.default_quantization
    quantize = quantize or default
    _check_calibration(reference, quantize)
    export_name = name if quantize == default else f"{name}-{quantize}"
    folder = Path(out or run.folder / "export") / export_name
    check_replaceable(folder)
    was_signed = (folder / SIGNATURE_FILE).exists()
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
        proof, details, answers = _verify(job, reference, export_name, max_drop, on_step)
        _describe(staged, export_format, quantize, reference, proof, details, answers,
                  converted["least_runtime"])  # fmt: skip
    if was_signed:
        warn_of_loss(folder)
    return load_artifact(folder)


def _check_calibration(reference: Reference, quantize: str) -> None:
    if quantize == "int8" and reference.dataset is None:
        raise SettingsError(
            f"{reference.run.folder}: int8 is calibrated on training images, and"
            f" {reference.missing or 'the run has none'}; name a data set with --data"
        )


def _save_images(path: Path, reference: Reference, quantize: str) -> None:
    """Write what the two processes need: `images`, `validation`, `test`, `representative`."""
    arrays = {"images": reference.images}
    if quantize != "none" and reference.dataset:
        arrays["test"] = np.asarray(reference.dataset.test.images)
        validation = reference.dataset.validation
        if reference.answers and validation and quantize in OF_8_BITS:
            arrays["validation"] = np.asarray(validation.images)
    if quantize == "int8":
        arrays["representative"] = reference.calibration_images
    np.savez(path, allow_pickle=False, **arrays)


def _verify(
    job: subprocesses.Job,
    reference: Reference,
    export_name: str,
    max_drop: float,
    on_step: Callable[[str], Any],
) -> tuple[dict[str, Any], dict[str, Any], Answers | None]:
    """Compare the written file with the Keras model and time it.

    Returns:
        (the manifest's `proof`, its `details`, the thresholds of the file's answers).
    """
    task = f"{export_name}: opening the written file"
    path = Path(job["images"]).with_name("answers.npz")
    answered = subprocesses.call(
        verify, job | {"threads": 1, "answers": str(path)}, task=task,
        on_progress=lambda done: on_step(f"{export_name}: verifying, {done}"),
    )  # fmt: skip
    with np.load(path) as answers:
        comparison = verification.compare(
            reference.probabilities, answers["images"], _accuracy(reference, answers)
        )
        found = _answers(reference, answers, job["quantize"])
        example = answers["images"][0].tolist()
    note = verification.check(comparison, export_name, job["quantize"], max_drop)
    seconds = {"1 thread": answered["seconds_per_image"]}
    if FORMATS[job["format"]].threaded:
        # Another process: TensorFlow takes the number only once, and the threads of a file that is
        # still open would disturb the timing.
        timed = subprocesses.call(verify, job | {"threads": 2, "answers": None}, task=task)
        seconds["2 threads"] = timed["seconds_per_image"]
    proof = _proof(comparison, answered["runtime"], seconds, reference)
    proof |= {"note": note, "example": [round(value, 7) for value in example]}
    return proof, answered["details"], found


def _accuracy(reference: Reference, answers: Mapping[str, np.ndarray]) -> Accuracy | None:
    """Return the answers to the test set, which only a quantized file is asked about."""
    if reference.dataset is None or "test" not in answers:
        return None
    right = answers["test"].argmax(axis=1) == reference.dataset.test.labels
    return Accuracy(reference.right, right)


def _answers(
    reference: Reference, answers: Mapping[str, np.ndarray], quantize: str
) -> Answers | None:
    """Return the thresholds of a file's answers: those of 8 bits are chosen on its own answers."""
    of_run, dataset = reference.answers, reference.dataset
    if of_run is None or dataset is None or "validation" not in answers:
        return of_run
    validation, test = (
        Predictions(answers[name].astype(np.float64), dataset.splits[name].labels)
        for name in ("validation", "test")
    )
    return choose_answers(
        validation,
        coverage=of_run.coverage,
        refusals=of_run.refusals,
        smallest=SMALLEST_OF_8_BITS if quantize == "int8" else of_run.smallest,
        test=test,
    )


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
    details: dict[str, Any],
    answers: Answers | None,
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
        "answers": answers and answers.model_dump(),
        "details": details,
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
        guide=export_format.guide.format_map(details),
    )
    atomic.write_text(folder / "README.md", card)
    files["README.md"] = checksum(folder / "README.md")
    atomic.write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
