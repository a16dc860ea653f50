"""Runs with other settings than a trained one, made without another training."""

import json
import shutil
from dataclasses import replace

from kmixer.config import loading
from kmixer.data.asked import remember_data
from kmixer.runs.consistency import content_checksums
from kmixer.runs.run import METRICS_FILE


def changed_run(run, folder, *, class_names=None, input_shape=None, **changes):
    """Copy a run and change its settings; a changed model has newly initialized weights.

    Its metrics and its history stay those of the copied run.

    Args:
        run: the trained `Run`, which stays as it is.
        folder: the new run's.
        class_names: written to labels.txt.
        input_shape: (height, width, channels) that the model takes.
        changes: by section of the settings, what differs, such as `training={"seed": 1}`.
    """
    shutil.copytree(run.folder, folder)
    settings = loading.build_settings(run.settings.model_dump(mode="json"), changes)
    info = run.info | ({"input_shape": list(input_shape)} if input_shape else {})
    if class_names:
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in class_names))
    changed = replace(run, folder=folder, settings=settings, info=info)
    changed.write_config()
    remember_data(settings.data)  # as a training does
    if input_shape or {"model", "data"} & changes.keys():
        changed.save_model(changed.build_model())
    name_files(changed)
    return changed


def name_files(run):
    """Let the metrics of a finished run name its files as they are now."""
    path = run.folder / METRICS_FILE
    if path.is_file():
        metrics = json.loads(path.read_text()) | {"content_sha256": content_checksums(run)}
        path.write_text(json.dumps(metrics))
