"""What a fine-tuning starts from: a run folder, a start that kmixer ships, or published weights."""

from __future__ import annotations

from pathlib import Path

from ...errors import RunError, SettingsError
from ...files.checksums import checksum
from ..run import CONFIG_FILE, MODEL_FILE, Run, load_run
from . import packaged
from .catalogue import ALIASES, TIMM
from .names import Reference, known_names, parse

__all__ = ["known_names", "resolve_start", "start_descriptions"]


def resolve_start(name: str | Path, sha256: str | None = None) -> Run:
    """Return what a fine-tuning starts from; imports no Keras.

    Args:
        name: the folder of a run; a start that kmixer ships, such as `cifar10-shift`; or published
            weights: `mixer-b16`, a name of timm's, or a repository of the Hugging Face Hub as
            `OWNER/REPO`. `@REVISION` and `@sha256:HEX` may follow a name.
        sha256: what the SHA-256 of the file of weights has to be; None: what the name says.

    Returns:
        A `Run`, whose `start_settings` and `load_model` are what the fine-tuning begins with.

    Raises:
        SettingsError: there is no such start, or two checksums are given.
        RunError: the folder is no run.
        DataError: the weights cannot be fetched, have another checksum, or are no Mixer's.

    Example:
        >>> from kmixer.runs.starts import resolve_start
        >>> resolve_start("cifar10-shift").class_names[:2]
        ('airplane', 'automobile')
    """
    reference = parse(str(name))
    if isinstance(reference, Path):
        _refuse_files(reference)
        return _checked_run(load_run(reference), sha256)
    reference = reference.with_sha256(sha256)
    if reference.name in packaged.names():
        return packaged.open_start(reference)
    from .published import open_start  # safetensors and the Hub's client are not needed before

    return open_start(reference)


def start_descriptions() -> dict[str, str]:
    """Return what each known name stands for; nothing is fetched."""
    shipped = {name: packaged.open_start(Reference(name)).summary for name in packaged.names()}
    short = {name: f"published weights, timm/{full}" for name, full in ALIASES.items()}
    return shipped | short | {name: f"published weights, timm/{name}" for name in TIMM}


def _refuse_files(path: Path) -> None:
    """Refuse a file of weights, or a folder of one, of which a run has to be made first."""
    file = path if path.is_file() else path / "model.safetensors"
    if file.is_file() and not (path / CONFIG_FILE).exists():
        raise RunError(
            f"{path}: not a run folder; make one of its weights with: kmixer import-weights {file}"
        )


def _checked_run(run: Run, sha256: str | None) -> Run:
    if sha256 is not None and (found := checksum(run.folder / MODEL_FILE)["sha256"]) != sha256:
        raise SettingsError(
            f"finetune.sha256: received {sha256}, but {run.folder / MODEL_FILE} has {found}"
        )
    return run
