"""Exports whose conversion and verification run in the test's process: seconds less an export.

That a process of its own is started for each is tested once, with the fixture `tflite_export`.
"""

import warnings
from contextlib import contextmanager

import pytest

from kmixer.exporting import reference, subprocesses, verify_process
from kmixer.exporting.export import export_run


@contextmanager
def without_processes():
    """Let an export call its functions instead of starting processes, and take little time."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of converters, which print them in their own process
        patch.setattr(subprocesses, "call", _call)
        patch.setattr(verify_process, "LATENCY_SECONDS", 0.02)
        patch.setattr(reference, "PREDICT_CALLS", 2)
        yield


def export(*arguments, **options):
    """Export a run as `export_run` does, in this process."""
    with without_processes():
        return export_run(*arguments, **options)


def _call(function, job, **options):
    if "threads" in job:  # TensorFlow takes their number only before it has begun
        job = job | {"threads": None}
    return function(job)
