"""The run that an export was made of, where the export lies in its folder."""

import json
from typing import Any

from ..errors import RunError
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
    made_of = {key: value for key, value in artifact.manifest["run"].items() if key != "name"}
    if (_as_json(run.info), _as_json(run.settings.model_dump(mode="json"))) != (
        made_of, artifact.manifest["settings"],
    ):  # fmt: skip
        raise RunError(
            f"{artifact.folder}: an explanation needs the run that this export was made of, which"
            f" {folder} is not"
        )
    return run


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(values))
