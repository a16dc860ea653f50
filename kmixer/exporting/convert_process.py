"""One conversion, in a process of its own: a converter belongs to one Keras backend."""

from pathlib import Path

import numpy as np

from .. import backend
from .formats import FORMATS
from .subprocesses import Job


def convert(job: Job) -> Job:
    """Write a run's model in a format.

    Args:
        job: `run` (folder), `format`, `quantize`, `folder` (an empty one to write into), `images`
            (an .npz file; its `representative` are training images, for int8).

    Returns:
        `least_runtime`: see `Format.write`.
    """
    export_format = FORMATS[job["format"]]
    backend.start(export_format.backend)
    from ..runs.run import load_run

    run = load_run(job["run"]).in_float32()
    model = run.load_model()
    with np.load(job["images"]) as arrays:
        representative = arrays["representative"] if job["quantize"] == "int8" else None
    least_runtime = export_format.write(
        model, run, Path(job["folder"]), job["quantize"], representative
    )
    return {"least_runtime": least_runtime}
