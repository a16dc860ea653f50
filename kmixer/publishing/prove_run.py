"""The proof of a run, run again: its model measured on its test set, held against metrics.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import KmixerError, describe
from ..evaluation.images import check_available
from ..evaluation.own_data import load_own
from ..files.text import percent
from ..runs.run import Run
from .check import PROOF, Check
from .tolerance import same_accuracy, same_loss

if TYPE_CHECKING:
    from ..data import Split
    from ..evaluation.predictions import Predictions


def prove_run(
    run: Run,
    data_dir: str | None,
    begin: Callable[[Run], object],
    on_step: Callable[[str], object],
) -> Check:
    """Measure a run's model again on its own test set, as `kmixer evaluate` does.

    Args:
        run: the `Run`, its files known to belong together.
        data_dir: where prepared data sets lie; None: as for the run.
        begin: called with the run before Keras is needed.
        on_step: called with the name of each step as it begins.
    """
    if run.imported:
        return Check.skipped(PROOF, "its weights were imported: nothing was measured")
    if not run.metrics["best"]["test"]:
        return Check.skipped(PROOF, "its training did not read the test set")
    on_step("reading the data")
    try:
        check_available(run, None, data_dir)
        own = load_own(run, data_dir)
    except KmixerError as error:
        return Check.skipped(PROOF, f"its images are not at hand ({describe(error)})")
    if own.changed:
        return Check.skipped(PROOF, own.changed)
    begin(run)
    on_step("measuring")
    return _compare(run, _predict(run, own.dataset.test))


def _predict(run: Run, split: Split) -> Predictions:
    from ..evaluation.evaluate import predict_split

    return predict_split(run.load_model(), split)


def _compare(run: Run, measured: Predictions) -> Check:
    recorded, images = run.metrics["best"]["test"], len(measured.labels)
    text = (
        f"accuracy {percent(measured.accuracy)}, recorded {percent(recorded['accuracy'])}; loss"
        f" {measured.loss:.4f}, recorded {recorded['loss']:.4f}; {images:,} test images"
    )
    same = same_accuracy(measured.accuracy, recorded["accuracy"], images)
    if same and same_loss(measured.loss, recorded["loss"]):
        return Check.ok(PROOF, text)
    return Check.failed(PROOF, text)
