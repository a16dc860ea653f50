"""Files of an interrupted run that are damaged, missing or of another moment, from its checkpoint.

A checkpoint is whole or not there; of the other files, it and the images hold all that is needed to
write them anew. That is done before the first step, not found out after the last one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RunError
from ..files.keras_archive import read_weights
from ..runs.consistency import weights_checksum
from ..runs.run import (
    CHECKPOINT_FILE,
    HISTORY_FILE,
    LABELS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    PREVIOUS_CHECKPOINT_FILE,
)
from ..runs.seen_images import SEEN_FILE, read_seen_images, write_seen_images
from .checkpoint import assign_values, values_of

if TYPE_CHECKING:
    import keras

    from ..data import Dataset
    from ..data.digests import Digests
    from ..runs.run import Run
    from .checkpoint_state import Position

ANEW = "written anew"


def repair(
    run: Run, classifier: keras.Model, position: Position, steps: int, dataset: Dataset,
    digests: Digests,
) -> None:  # fmt: skip
    """Write anew what of a run folder does not belong to the checkpoint that is gone on from.

    Args:
        run: the `Run`, which this process alone writes.
        classifier: its model, with the checkpoint's weights.
        position: the `Position` of the checkpoint; notes say what was written.
        steps: batches in an epoch.
        dataset: the run's images.
        digests: of those.

    Raises:
        RunError: model.keras is damaged, and the checkpoint is of a version that did not keep the
            best weights.
    """
    found = {
        LABELS_FILE: _labels(run, dataset),
        SEEN_FILE: _seen_images(run, digests),
        MODEL_FILE: _model(run, classifier, position),
        HISTORY_FILE: _history(run, position),
    }
    # Killed while the epoch's end was written: model and history are of the epoch that is repeated.
    expected = (MODEL_FILE, HISTORY_FILE) if position.step == steps else ()
    position.notes += [
        f"{name}: {problem}; {ANEW}"
        for name, problem in found.items()
        if problem and not (name in expected and problem == _OTHER)
    ]
    if position.file == PREVIOUS_CHECKPOINT_FILE:  # else the next one would push this one out
        os.replace(run.folder / PREVIOUS_CHECKPOINT_FILE, run.folder / CHECKPOINT_FILE)
    if run.finished:  # with metrics of other weights, or `resume` would have refused it
        (run.folder / METRICS_FILE).unlink()
        position.notes.append(f"{METRICS_FILE}: does not belong to the checkpoint; measured anew")


_OTHER = "of another moment than the checkpoint"


def _labels(run: Run, dataset: Dataset) -> str | None:
    try:
        if run.class_names == tuple(dataset.class_names):
            return None
        problem = "other classes than the images'"
    except RunError as error:
        problem = _reason(run, LABELS_FILE, error)
    run.write_labels(dataset.class_names)
    return problem


def _seen_images(run: Run, digests: Digests) -> str | None:
    try:
        seen = read_seen_images(run.folder)
        if seen and all(
            np.array_equal(getattr(seen, name), rows) for name, rows in digests.items()
        ):
            return None
        problem = "of other images" if seen else None  # a run of an older version has none
    except RunError as error:
        problem = _reason(run, SEEN_FILE, error)
    write_seen_images(run.folder, digests)
    return problem


def _history(run: Run, position: Position) -> str | None:
    if not position.rows:
        return None
    try:
        if run.history == position.rows:
            return None
        problem = _OTHER
    except RunError as error:
        problem = _reason(run, HISTORY_FILE, error)
    run.write_history(position.rows)
    return problem


def _model(run: Run, classifier: keras.Model, position: Position) -> str | None:
    if not position.rows:
        return None
    if not position.best:
        _take_best_weights(run, classifier, position)
        return None
    try:
        if weights_checksum(run.folder / MODEL_FILE) == position.model_sha256:
            return None
        problem = _OTHER
    except RunError as error:
        problem = _reason(run, MODEL_FILE, error)
    before = values_of(classifier)
    assign_values(classifier, position.best)
    run.save_model(classifier)
    assign_values(classifier, before)
    position.model_sha256 = weights_checksum(run.folder / MODEL_FILE)
    return problem


def _take_best_weights(run: Run, classifier: keras.Model, position: Position) -> None:
    """Read the best weights of a run of an older version, whose checkpoint does not hold them."""
    before, path = values_of(classifier), run.folder / MODEL_FILE
    try:
        read_weights(path, classifier)
    except RunError as error:
        raise RunError(
            f"{error}; its checkpoint, of an older version, does not hold the best weights: copy"
            " the folder again, or train anew"
        ) from None
    position.best = values_of(classifier)
    position.model_sha256 = weights_checksum(path)
    assign_values(classifier, before)


def _reason(run: Run, name: str, error: RunError) -> str:
    """Return what is wrong with a file, without its name."""
    return str(error).removeprefix(f"{run.folder / name}: ")
