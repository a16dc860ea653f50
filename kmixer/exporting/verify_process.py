"""The answers and the speed of a written file, in a process of its own.

The process has neither Keras nor the model: it opens the file as its users do.
"""

import time
from functools import partial
from pathlib import Path
from statistics import median
from timeit import timeit

import numpy as np

from .artifact import load_artifact
from .contents import read_folder
from .formats import FORMATS
from .runtimes import Predict
from .subprocesses import Job, report

BATCH = 64
ASKED = ("images", "validation", "test")  # what the file answers about
LATENCY_SECONDS, MIN_CALLS, MAX_CALLS = 0.5, 10, 500


def verify(job: Job) -> Job:
    """Open a file, save its answers, and time it.

    Args:
        job: `format`, `folder` (that holds the file), `images` (an .npz file of `images` and
            perhaps `validation` and `test`), `threads` (how many the runtime may use) and `answers`
            (the .npz file to write, or None).

    Returns:
        `runtime` (name and version), `seconds_per_image`, the median for a single image, and
        `details`: see `Format.examine`; empty where there are no answers to save.
    """
    known = FORMATS[job["format"]]
    files, details = read_folder(Path(job["folder"])), {}
    predict, runtime = known.open(files, job["threads"])
    with np.load(job["images"]) as arrays:
        if job["answers"]:
            names = [name for name in ASKED if name in arrays]
            answers = {name: _probabilities(predict, arrays[name]) for name in names}
            np.savez(Path(job["answers"]), allow_pickle=False, **answers)
            if known.examine:
                details = known.examine(files, arrays[names[-1]], answers[names[-1]])
        seconds = _latency(predict, arrays["images"])
        return {"runtime": runtime, "seconds_per_image": seconds, "details": details}


def answer(job: Job) -> Job:
    """Open an export as its users do, held against its manifest, and save its answers.

    Args:
        job: `folder` (of the export), `images` (an .npz file of arrays of images), `answers`
            (the .npz file to write, of the same names) and `trusted` (see `Artifact.open`).

    Returns:
        `runtime`, name and version.

    Raises:
        RunError: see `Artifact.open`.
    """
    predict, runtime = load_artifact(job["folder"]).open(trusted=job["trusted"])
    with np.load(job["images"]) as arrays:
        answers = {name: _probabilities(predict, arrays[name]) for name in arrays}
    np.savez(Path(job["answers"]), allow_pickle=False, **answers)
    return {"runtime": runtime}


def _probabilities(predict: Predict, images: np.ndarray) -> np.ndarray:
    answers = []
    for start in range(0, len(images), BATCH):
        answers.append(predict(images[start : start + BATCH]))
        report(f"{start + len(answers[-1]):,} of {len(images):,} images")
    return np.concatenate(answers)


def _latency(predict: Predict, images: np.ndarray) -> float:
    """Return the median seconds for a single image."""
    predict(images[:1])
    times: list[float] = []
    end = time.perf_counter() + LATENCY_SECONDS
    while len(times) < MIN_CALLS or (len(times) < MAX_CALLS and time.perf_counter() < end):
        image = images[len(times) % len(images)][None]
        times.append(timeit(partial(predict, image), number=1))
    return median(times)
