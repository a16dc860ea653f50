"""A finished run → a file that runs without kmixer and Keras, proved to give the same answers."""

import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ..errors import SettingsError
from ..files import atomic
from ..files.checksums import checksum, checksums
from ..runs import provenance
from ..runs.card import export_card
from . import subprocesses, verification
from .artifact import MANIFEST, load_artefact, model_bytes
from .formats import FORMATS, QUANTIZATIONS, find_format

__all__ = ["FORMATS", "QUANTIZATIONS", "export", "find_format"]


def export(evidence, name, quantize="none", *, out=None, max_drop=0.5, step=lambda doing: None):
    """Write a run's model in a format, and keep it only if it gives the same answers.

    Args:
        evidence: the run's `Evidence`.
        name: of the format, one of `FORMATS`.
        quantize: one of `QUANTIZATIONS`.
        out: the folder that export folders go to; default `export/` in the run's.
        max_drop: points of accuracy that a quantised file may lose.
        step: called with what is being done next.

    Returns:
        The `Artefact`.

    Raises:
        SettingsError: the format is unknown, cannot be written here, or lacks training images.
        RunError: the conversion failed, or the file gives other answers; nothing is left of it.
    """
    form, run = find_format(name, quantize), evidence.run
    if quantize == "int8" and not evidence.dataset:
        raise SettingsError(
            f"{run.folder}: int8 is calibrated on training images, and the run has none; name a"
            " data set with --data"
        )
    called = name if quantize == "none" else f"{name}-{quantize}"
    folder = Path(out or run.folder / "export") / called
    evidence.model  # noqa: B018  # its weights are read before a process is started for them
    with ExitStack() as stack:
        staged = stack.enter_context(atomic.replacing_folder(folder, MANIFEST))
        images = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "images.npz"
        _save_images(images, evidence, quantize)
        step(f"{called}: converting")
        job = {"run": str(run.folder), "format": name, "quantize": quantize,
               "folder": str(staged), "images": str(images)}  # fmt: skip
        subprocesses.run(
            "kmixer.exporting.convert_process",
            job,
            backend=form.backend,
            doing=f"{called}: converting",
        )
        step(f"{called}: proving")
        proof = _prove(form, quantize, staged, images, evidence, called, max_drop)
        _describe(staged, form, quantize, evidence, proof)
    return load_artefact(folder)


def _save_images(path, evidence, quantize):
    arrays = {"images": evidence.images}
    if quantize != "none" and evidence.dataset:
        arrays["test"] = evidence.dataset.test.images
    if quantize == "int8":
        arrays["representative"] = evidence.representative
    np.savez(path, **arrays)


def _prove(form, quantize, staged, images, evidence, called, max_drop):
    """Open the written file in a process without Keras and hold it against Keras' answers."""
    answers = images.with_name("answers.npz")
    job = {"format": form.name, "path": str(staged / form.file), "images": str(images)}

    def ask(threads, answers=None):
        asked = job | {"threads": threads, "answers": answers}
        return subprocesses.run(
            "kmixer.exporting.verify_process", asked, doing=f"{called}: opening the written file"
        )

    alone = ask(1, str(answers))
    with np.load(answers) as said:
        accuracy = None
        if "test" in said:
            right = said["test"].argmax(axis=1) == evidence.dataset.test.labels
            accuracy = (evidence.accuracy, float(right.mean()))
        found = verification.compare(evidence.probabilities, said["images"], accuracy)
    verification.check(found, called, quantize, max_drop)
    seconds = {"1 thread": alone["seconds_per_image"], "2 threads": ask(2)["seconds_per_image"]}
    return _proof(found, alone["runtime"], seconds, evidence)


def _proof(found, runtime, seconds, evidence):
    import keras

    proof = {
        "runtime": runtime,
        "reference": f"Keras {keras.__version__} on {keras.backend.backend()}, float32",
        "images": found.images,
        "source": evidence.source,
        "largest_difference": found.largest_difference,
        "top1_agreement": found.agreement,
        "milliseconds_per_image": {
            threads: round(1e3 * value, 4) for threads, value in seconds.items()
        },
        "keras_predict_milliseconds": round(1e3 * evidence.predict_seconds, 3),
        "device": provenance.processor(),
    }
    measured = found.accuracy and {"keras": found.accuracy[0], "file": found.accuracy[1],
                                   "images": len(evidence.dataset.test)}  # fmt: skip
    return proof | {"test_accuracy": measured}


def _describe(staged, form, quantize, evidence, proof):
    """Write labels.txt, the model card, and last the manifest over them all."""
    run = evidence.run
    shape = list(run.info["input_shape"])
    size = [None, None] if form.any_size else shape[:2]
    shutil.copyfile(run.folder / "labels.txt", staged / "labels.txt")
    manifest = {
        "format": form.name,
        "quantize": quantize,
        "file": form.file,
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
    manifest["files"] = checksums(staged)
    card = export_card(
        run, manifest, size=model_bytes(manifest), usage=form.usage, library=form.library
    )
    atomic.write_text(staged / "README.md", card)
    manifest["files"]["README.md"] = checksum(staged / "README.md")
    atomic.write_text(staged / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
