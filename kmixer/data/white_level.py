"""Which level is white in the 16-bit and float images of a folder: one for all of them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..errors import DataError
from .decode import read_levels
from .levels import GLINTS, sample, white_of

FILES, LEVELS_OF_A_FILE = 200, 10_000  # that are looked at


def common_white_level(paths: Sequence[Path]) -> tuple[float | None, list[str]]:
    """Choose the level that becomes 255 in all 16-bit and float images of a folder.

    Args:
        paths: those images; up to `FILES` of them, evenly spaced, are decoded.

    Returns:
        (see `levels.white_of`; None if there are no such images, or 16-bit and float images of
        different scales, and each is judged by itself; notes on it, for people).
    """
    chosen = [
        paths[index] for index in np.linspace(0, len(paths) - 1, min(len(paths), FILES), dtype=int)
    ]
    with ThreadPoolExecutor() as pool:
        found = [levels for levels in pool.map(_sample_file, chosen) if levels is not None]
    kinds = {"16-bit": [part for part in found if part.dtype.kind != "f"],
             "float": [part for part in found if part.dtype.kind == "f"]}  # fmt: skip
    whites = {kind: white_of(np.concatenate(parts)) for kind, parts in kinds.items() if parts}
    notes = _note_negative(found)
    if len(set(whites.values())) > 1:
        scales = " and ".join(f"{kind} (white: {white:,g})" for kind, white in whites.items())
        return None, [*notes, f"{scales} images are mixed: the white of each is judged by itself"]
    if not whites:
        return None, []
    white = next(iter(whites.values()))
    images = f"{len(paths):,} {' and '.join(whites)} images"
    return white, [f"{images}: levels 0..{white:,g} become 0..255 (white_level)", *notes]


def _sample_file(path: Path) -> np.ndarray | None:
    try:
        levels = read_levels(path)
    except DataError:  # it is reported where the images are decoded
        return None
    return None if levels is None else sample(levels, LEVELS_OF_A_FILE)


def _note_negative(found: Sequence[np.ndarray]) -> list[str]:
    below = [levels for levels in found if np.mean(levels < 0) > GLINTS]
    if not below:
        return []
    least = min(float(levels.min()) for levels in below)
    return [
        f"{len(below)} of {len(found)} such images have levels below 0 (to {least:,g}), which"
        " become black"
    ]
