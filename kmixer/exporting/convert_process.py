"""One conversion: `python -m kmixer.exporting.convert_process JOB`.

A converter belongs to a backend, and a process has one backend. The job is a JSON file; what the
process has to say comes back in its exit code and on stderr.
"""

import json
import sys
from pathlib import Path

import numpy as np

from .. import backend
from .formats import FORMATS


def convert(job):
    """Write a run's model in a format.

    Args:
        job: `run`, `format`, `quantize`, `folder` (an empty one to write into), `images` (an .npz
            file whose `representative` are training images).
    """
    form = FORMATS[job["format"]]
    backend.select(form.backend)
    from ..runs.run import load_run

    run = load_run(job["run"]).in_float32()
    model = run.load_model()
    with np.load(job["images"]) as arrays:
        representative = arrays["representative"] if job["quantize"] == "int8" else None
    form.write(model, run, Path(job["folder"]), job["quantize"], representative)


if __name__ == "__main__":
    convert(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
