"""The run that an export was made of, where the export lies in its folder."""

import json

from ..config.loading import build_settings
from ..errors import RunError, SettingsError
from ..runs.run import Run, load_run
from .artifact import Artifact


def run_beside(artifact: Artifact) -> Run:
    """Return the run whose folder an export lies in, as in `RUN/export/tflite`.

    Args:
        artifact: the export.

    Raises:
        RunError: it lies in no run's folder, or in that of another run or a damaged one.
    """
    folder = artifact.folder.resolve().parent.parent
    try:
        run = load_run(folder)
        run.check_finished()
        run.check_model()
    except RunError as error:
        raise RunError(
            f"{artifact.folder}: an explanation needs the run that this export was made of, and it"
            f" lies in no such folder: {error}"
        ) from None
    if not _is_of(artifact, run):
        raise RunError(
            f"{artifact.folder}: an explanation needs the run that this export was made of, which"
            f" {folder} is not"
        )
    return run


def _is_of(artifact: Artifact, run: Run) -> bool:
    """Whether an export's manifest describes a run: in float32, as every export is made of it."""
    written = {key: value for key, value in artifact.manifest["run"].items() if key != "name"}
    try:  # an older kmixer wrote fewer settings: the others have their defaults
        settings = build_settings(artifact.manifest["settings"])
    except SettingsError:
        return False
    told = json.loads(json.dumps(run.info))
    return (written, settings) == (told, run.in_float32().settings)
