"""Each worker's part of the machine: some of the cores, or a GPU."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ...processes import program_output

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Resources:
    """A worker's part of the machine.

    Attributes:
        cores: numbers of the processor's cores; None: all.
        environment: variables of its processes.
    """

    cores: list[int] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """Return the environment of its processes, without the search's own choice of GPUs."""
        inherited = {name: value for name, value in os.environ.items() if name != VISIBLE_GPUS}
        return inherited | self.environment


def divide_machine(workers: int) -> list[Resources]:
    """Return the `Resources` of each worker; too few cores or GPUs are used by several workers."""
    gpus, cores = _gpus(), _cores()
    parts = [cores[i::workers] for i in range(workers)] if len(cores) >= workers > 1 else None
    return [
        Resources(
            parts[index] if parts else None,
            {VISIBLE_GPUS: gpus[index % len(gpus)]} if gpus and workers > 1 else _gpu_choice(),
        )
        for index in range(workers)
    ]


def hide_gpus() -> None:
    """Leave the GPUs to the trials: this process builds models only to count their parameters."""
    os.environ[VISIBLE_GPUS] = ""


def _gpu_choice() -> dict[str, str]:
    return {VISIBLE_GPUS: os.environ[VISIBLE_GPUS]} if VISIBLE_GPUS in os.environ else {}


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def _gpus() -> list[str]:
    """Return the GPUs' names for CUDA_VISIBLE_DEVICES."""
    if VISIBLE_GPUS in os.environ:
        return [name for name in os.environ[VISIBLE_GPUS].split(",") if name and name != "-1"]
    listing = program_output("nvidia-smi", "-L") or ""
    names = [line for line in listing.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(names))]
