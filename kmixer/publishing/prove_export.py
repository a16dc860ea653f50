"""The proof of an export, run again: its answers now, and those when it was written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.image_files import as_pixels
from ..errors import KmixerError
from ..exporting import subprocesses, verification
from ..exporting.artifact import Artifact
from ..exporting.formats import FORMATS
from ..exporting.origin import run_beside
from ..exporting.reference_images import load_reference_images
from ..exporting.support import missing_modules
from ..exporting.verification import TOLERANCE
from ..exporting.verify_process import answer
from ..files.text import percent
from ..runs.example_image import EXAMPLE_FILE
from ..runs.run import Run
from .check import PROOF, Check
from .tolerance import same_accuracy

if TYPE_CHECKING:
    from ..exporting.reference import Reference

# Of a quantized file's probabilities on its example, from one machine to another: a dozen steps of
# eight bits, which kernels round each in its own way.
QUANTIZED_TOLERANCE = 0.05
Answers = Mapping[str, np.ndarray]


def prove_export(
    artifact: Artifact,
    copy: Path,
    data_dir: str | None,
    begin: Callable[[Run], object],
    on_step: Callable[[str], object],
    *,
    signed: bool,
) -> Check:
    """Open an export with its runtime, and hold its answers against those that are known.

    They are those for its example image, which the manifest records, and where the run lies above
    it, as `kmixer export` puts it, those of the run's Keras model for 256 images.

    Args:
        artifact: the export.
        copy: a folder with its files, which nobody else can change.
        data_dir: see `load_reference_images`.
        begin: called with the run before Keras is needed.
        on_step: called with the name of each step as it begins.
        signed: whether it has the signature that the user asked for; without, no code is run.
    """
    if artifact.is_code and not signed:
        kind = artifact.manifest["format"]
        return Check.skipped(
            PROOF, f"a file of format {kind} is code, which is run of signers alone: --key FILE"
        )
    if missing := missing_modules(FORMATS[artifact.manifest["format"]]):
        return Check.skipped(PROOF, f"this machine has no {', '.join(missing)} to open it with")
    recorded = artifact.manifest[PROOF].get("example")
    run = run_at_hand(artifact)
    example = copy / EXAMPLE_FILE
    if run is None and not (recorded and example.is_file()):
        return Check.skipped(
            PROOF,
            "written by an older kmixer, which recorded no answers, and its run is not at hand:"
            " verify it where it was written, in the run's export/",
        )
    images = {"example": as_pixels(example, artifact.decoding)} if example.is_file() else {}
    reference = _reference(run, data_dir, begin, on_step) if run else None
    on_step("opening the file")
    answers = _answers(copy, images | _reference_images(reference, artifact), signed)
    problems: list[str] = []
    found: list[str] = []
    if recorded and "example" in answers:
        _check_example(answers["example"][0], recorded, artifact, problems, found)
    if reference:
        _check_reference(answers, reference, artifact, problems, found)
    if problems:
        return Check.failed(PROOF, "; ".join(problems))
    return Check.ok(PROOF, "; ".join(found))


def run_at_hand(artifact: Artifact) -> Run | None:
    """Return the run that an export was written from, if it lies in the run's `export/`."""
    with suppress(KmixerError):
        return run_beside(artifact)
    return None


def _reference(
    run: Run,
    data_dir: str | None,
    begin: Callable[[Run], object],
    on_step: Callable[[str], object],
) -> Reference:
    on_step("reading the data")
    dataset, missing = load_reference_images(run, None, data_dir, lambda line: None)
    begin(run)
    from ..exporting.reference import Reference

    return Reference(run, dataset, missing)


def _reference_images(reference: Reference | None, artifact: Artifact) -> dict[str, np.ndarray]:
    """Return the images to ask about, and of a file whose accuracy is known the test set."""
    if reference is None:
        return {}
    images = {"images": reference.images}
    if reference.dataset and artifact.manifest[PROOF]["test_accuracy"]:
        images["test"] = np.asarray(reference.dataset.test.images)
    return images


def _answers(copy: Path, images: Mapping[str, np.ndarray], trusted: bool) -> dict[str, np.ndarray]:
    """Ask the export about images, in a process of its own and without Keras."""
    with tempfile.TemporaryDirectory() as temporary:
        asked, answered = Path(temporary, "images.npz"), Path(temporary, "answers.npz")
        np.savez(asked, allow_pickle=False, **images)
        job = {
            "folder": str(copy),
            "images": str(asked),
            "answers": str(answered),
            "trusted": trusted,
        }
        subprocesses.call(answer, job, task="opening the file")
        with np.load(answered) as arrays:
            return dict(arrays)


def _check_example(
    answered: np.ndarray,
    recorded: list[float],
    artifact: Artifact,
    problems: list[str],
    found: list[str],
) -> None:
    allowed = TOLERANCE if artifact.manifest["quantize"] == "none" else QUANTIZED_TOLERANCE
    difference = float(np.abs(answered - np.asarray(recorded)).max())
    text = f"{EXAMPLE_FILE}: {difference:.1e} from the recorded answer"
    if difference <= allowed:
        found.append(text)
    else:
        problems.append(f"{text}, at most {allowed:.0e}")


def _check_reference(
    answers: Answers,
    reference: Reference,
    artifact: Artifact,
    problems: list[str],
    found: list[str],
) -> None:
    manifest: dict[str, Any] = artifact.manifest
    comparison = verification.compare(reference.probabilities, answers["images"])
    if problem := verification.find_problem(comparison, manifest["quantize"]):
        problems.append(problem)
    else:
        found.append(
            f"{comparison.images} images ({reference.source}): largest difference from the run's"
            f" Keras model {comparison.largest_difference:.1e}, same first class"
            f" {percent(comparison.agreement)}"
        )
    if "test" not in answers or reference.dataset is None:
        return
    labels, recorded = reference.dataset.test.labels, manifest[PROOF]["test_accuracy"]
    if recorded["images"] != len(labels):
        return  # others than it was measured on
    accuracy = float((answers["test"].argmax(axis=1) == labels).mean())
    text = f"test accuracy {percent(accuracy)}, recorded {percent(recorded['file'])}"
    same = same_accuracy(accuracy, recorded["file"], len(labels))
    (found if same else problems).append(text)
