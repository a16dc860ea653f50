"""What a written file says and how fast: `python -m kmixer.exporting.verify_process JOB`.

The process has neither Keras nor the model: it opens the file as its users do.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from timeit import timeit

import numpy as np

from .formats import FORMATS

BATCH = 64
LATENCY_SECONDS, MOST_CALLS = 0.5, 500


def prove(job):
    """Ask a file about images, and measure it.

    Args:
        job: `format`, `path`, `images` (an .npz file of `images` and perhaps `test`), `threads`
            (how many the runtime may use) and `answers` (the .npz file to write, or None).

    Returns:
        A JSON-able dict: the runtime, and the median `seconds_per_image` of one by itself.
    """
    predict, runtime = FORMATS[job["format"]].open(job["path"], job["threads"])
    with np.load(job["images"]) as arrays:
        if job["answers"]:
            names = [name for name in ("images", "test") if name in arrays]
            np.savez(job["answers"], **{name: _answers(predict, arrays[name]) for name in names})
        return {"runtime": runtime, "seconds_per_image": _latency(predict, arrays["images"])}


def _answers(predict, images):
    batches = range(0, len(images), BATCH)
    return np.concatenate([predict(images[at : at + BATCH]) for at in batches])


def _latency(predict, images):
    """Return the median seconds of an image by itself."""
    taken, until = [], time.perf_counter() + LATENCY_SECONDS
    predict(images[:1])
    while len(taken) < 10 or (len(taken) < MOST_CALLS and time.perf_counter() < until):
        image = images[len(taken) % len(images)][None]
        taken.append(timeit(lambda image=image: predict(image), number=1))
    return median(taken)


if __name__ == "__main__":
    print(json.dumps(prove(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
