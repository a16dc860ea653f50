"""What a folder's files say about themselves: asked once, then kept in the cache."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from ....errors import DataError, RunError
from ...cache import CacheFolder, facts_key, usable_cache
from ...decode import ImageFacts
from ...progress import DESCRIBING, Progress, part
from ..source import LoadOptions

SLOW_SECONDS = 1.0  # what is described faster is not kept in the cache
BLOCK = 4096  # files that are described together
SYSTEM_ERROR = re.compile(r"cannot be read: |\[Errno |damaged image: *$")  # the last: no memory

Described = ImageFacts | str  # the facts, or why there are none
Describe = Callable[[Path], Described]


def describe_files(
    folder: Path, paths: Sequence[Path], describe: Describe, options: LoadOptions
) -> list[Described]:
    """Describe image files, several in parallel, or take it from the cache.

    Args:
        folder: that they lie in.
        paths: the files.
        describe: (path) → the facts of a file, or why there are none.
        options: `cache` and `progress`.

    Returns:
        What `describe` says of each file, in their order.
    """
    cache = usable_cache(options.cache)
    if cache is None:
        return _describe_all(paths, describe, part(options.progress, DESCRIBING))
    key = facts_key(folder, paths)
    kept = _from_cache(cache, key)
    if kept is not None:
        return kept
    began = time.perf_counter()
    described = _describe_all(paths, describe, part(options.progress, DESCRIBING))
    if time.perf_counter() - began > SLOW_SECONDS:
        with suppress(RunError):  # reading the pixels says that nothing can be kept
            _keep(cache, key, folder, described)
    return described


def _describe_all(paths: Sequence[Path], describe: Describe, progress: Progress) -> list[Described]:
    described: list[Described] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BLOCK):
            for facts in pool.map(describe, paths[start : start + BLOCK]):
                described.append(facts)
                progress(len(described), len(paths))
    return described


def _from_cache(cache: CacheFolder, key: str) -> list[Described] | None:
    entry = cache.find(key)
    if entry is None:
        return None
    try:
        rows = json.loads(entry.read().tobytes())
    except DataError:  # damaged: made anew
        return None
    if any(isinstance(row, str) and may_pass(row) for row in rows):
        return None
    return [_facts(row) if isinstance(row, list) else row for row in rows]


def may_pass(reason: str) -> bool:
    """Say whether the system may be to blame, not the file, which is then tried again next time."""
    return bool(SYSTEM_ERROR.search(reason))


def _facts(row: list[object]) -> ImageFacts:
    return ImageFacts(*(tuple(value) if isinstance(value, list) else value for value in row))  # type: ignore[arg-type]


def _keep(cache: CacheFolder, key: str, folder: Path, described: Sequence[Described]) -> None:
    content = np.frombuffer(json.dumps(described).encode(), np.uint8)
    with cache.writing(key, content.nbytes) as writer:
        writer.write(content)
        writer.finish(
            {"folder": str(folder.resolve()), "shape": [len(described)], "created": time.time()}
        )
