"""The description beside timm's published weights, `config.json`: what it says of pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt, ValidationError

from ...config.schema import validation_message
from ...errors import DataError
from ...files.text import read_text

# Arguments of timm's MlpMixer that shapes show, or that mean nothing without training.
KNOWN_ARGUMENTS = {
    "num_classes", "img_size", "in_chans", "patch_size", "num_blocks", "embed_dim", "mlp_ratio",
    "drop_rate", "proj_drop_rate", "drop_path_rate",
}  # fmt: skip


class Pretrained(BaseModel):
    """What the weights were trained with."""

    model_config = ConfigDict(frozen=True)

    mean: list[FiniteFloat]
    std: list[FiniteFloat]
    input_size: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    label_names: list[str] | None = None
    license: str | None = None


class TimmConfig(BaseModel):
    """What is read of a config.json; the rest is for timm."""

    model_config = ConfigDict(frozen=True)

    architecture: str | None = None
    global_pool: str = "avg"
    model_args: dict[str, Any] = {}
    label_names: list[str] | None = None
    pretrained_cfg: Pretrained


def read_config(path: Path, reference: object) -> TimmConfig:
    """Read a config.json, of the older form as well, whose keys are not below `pretrained_cfg`.

    Args:
        path: the file.
        reference: the repository, for the errors.

    Raises:
        DataError: it is no JSON, lacks mean and deviation, or describes no Mixer of the paper.
    """
    try:
        values = json.loads(read_text(path, DataError))
        if isinstance(values, dict) and "pretrained_cfg" not in values:
            values = {**values, "pretrained_cfg": values}
        config = TimmConfig.model_validate(values)
    except ValidationError as error:
        problem = validation_message(error, TimmConfig)
        raise DataError(f"{reference}: config.json: {problem}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{reference}: config.json: damaged, it is no JSON") from None
    _check_architecture(config, reference)
    return config


def _check_architecture(config: TimmConfig, reference: object) -> None:
    """Refuse what would compute something else with the same shapes."""
    if config.architecture and not config.architecture.startswith("mixer_"):
        raise DataError(
            f"{reference}: config.json: received the architecture {config.architecture!r}, expected"
            " an MLP-Mixer, such as 'mixer_b16_224'"
        )
    if config.global_pool != "avg":
        raise DataError(
            f"{reference}: config.json: global_pool: received {config.global_pool!r}, expected"
            " 'avg'"
        )
    if unknown := sorted(set(config.model_args) - KNOWN_ARGUMENTS):
        raise DataError(
            f"{reference}: config.json: model_args.{unknown[0]}: not known here; another value than"
            " the paper's would compute something else"
        )
