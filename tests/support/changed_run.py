"""Runs with other settings than a trained one, made without another training."""

import shutil
from dataclasses import replace

from kmixer.config import loading
from kmixer.data.asked import remember_data


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
    return changed
