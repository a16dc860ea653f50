"""The pixels of a folder's images: decoded once, kept in the cache, in memory or in a file."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import DataError, KmixerError, RunError, file_problem
from ...cache import CacheFolder, Entry, EntryWriter, pixels_key, usable_cache
from ...dataset import Split
from ...decode import Decoding
from ...memory import is_large
from ...progress import DECODING, Progress, part
from ...stored_images import Images, StoredImages, take
from ..source import LoadOptions
from .decoder import Decoder
from .describing import may_pass
from .listing import Listing, no_images
from .names import printable
from .skips import DAMAGED, Skip

SLOW_SECONDS = 1.0  # what is decoded faster is not kept in the cache


@dataclass(frozen=True)
class Pixels:
    """The decoded images of a folder.

    Attributes:
        images: uint8 `(n, height, width, channels)`; what could not be decoded is black.
        bad: why an image could not be decoded, by its index.
        notes: where they lie, for people.
    """

    images: Images
    bad: dict[int, str]
    notes: tuple[str, ...] = ()


def read_splits(
    folder: Path, listings: Sequence[Listing], decoding: Decoding, options: LoadOptions
) -> tuple[list[Split], list[str]]:
    """Read the images of each listing, from the cache where they are in it.

    Args:
        folder: that they lie in.
        listings: the files; what cannot be decoded is added to their skips.
        decoding: how they become pixels.
        options: `cache`, `in_memory` and `progress`.

    Returns:
        (a `Split` for each listing, notes on where the pixels lie).

    Raises:
        DataError: of a class no image can be decoded.
    """
    paths = [path for listing in listings for path in listing.paths]
    pixels = read_pixels(folder, paths, decoding, options)
    splits, start = [], 0
    for listing in listings:
        end = start + len(listing.paths)
        bad = {index - start: why for index, why in pixels.bad.items() if start <= index < end}
        splits.append(_split(listing, take(pixels.images, slice(start, end)), bad))
        start = end
    return splits, list(pixels.notes)


def _split(listing: Listing, images: Images, bad: Mapping[int, str]) -> Split:
    labels, files = np.asarray(listing.labels, np.int32), np.asarray(listing.files, np.str_)
    if not bad:  # the usual case: no second copy of all pixels
        return Split(images, labels, files)
    _skip_undecodable(listing, labels, bad)
    good = np.setdiff1d(np.arange(len(labels)), list(bad))
    return Split(take(images, good), labels[good], files[good])


def _skip_undecodable(listing: Listing, labels: np.ndarray, bad: Mapping[int, str]) -> None:
    """Add what could not be decoded to the listing's skips; refuse a class that has no other."""
    listing.skips += [Skip(listing.paths[i], DAMAGED, printable(why)) for i, why in bad.items()]
    good = np.setdiff1d(np.arange(len(labels)), list(bad))
    for label in np.setdiff1d(labels, labels[good]):
        first = listing.paths[int(np.flatnonzero(labels == label)[0])]
        raise no_images(first.parent, listing.skips)


def read_pixels(
    folder: Path, paths: Sequence[Path], decoding: Decoding, options: LoadOptions
) -> Pixels:
    """Return the pixels of image files, decoded or from the cache.

    Args:
        folder: that they lie in.
        paths: the files.
        decoding: how they become pixels.
        options: see `read_splits`.
    """
    shape = (len(paths), decoding.height, decoding.width, decoding.channels)
    size = int(np.prod(shape))
    in_file = is_large(size) if options.in_memory is None else not options.in_memory
    cache = usable_cache(options.cache)
    key = pixels_key(folder, paths, decoding) if cache else ""
    progress = part(options.progress, DECODING)
    kept = cache and _from_cache(cache, key, shape, in_file, progress)
    if kept:
        return kept
    decoder = Decoder(paths, decoding, progress)
    about = {"folder": str(folder.resolve()), "shape": shape, "created": time.time()}
    if in_file:
        return _decode_to_file(decoder, cache, key, about)
    return _decode_to_memory(decoder, cache, key, about)


def _from_cache(
    cache: CacheFolder, key: str, shape: tuple[int, ...], in_file: bool, progress: Progress
) -> Pixels | None:
    entry = cache.find(key)
    if entry is None or any(map(may_pass, _bad(entry).values())):
        return None
    try:
        if not in_file:
            return Pixels(entry.read(progress).reshape(shape), _bad(entry))
        entry.check(progress)
    except DataError:  # damaged: made anew
        return None
    return _stored(entry, f"in {cache.path}")


def _bad(entry: Entry) -> dict[int, str]:
    return {int(index): why for index, why in entry.facts["bad"].items()}


def _stored(entry: Entry, where: str) -> Pixels:
    count, *shape = entry.facts["shape"]
    images = StoredImages(entry.file, shape, np.arange(count))
    note = f"{images.nbytes / 1e9:.1f} GB of pixels are not kept in memory but in a file {where}"
    return Pixels(images, _bad(entry), (note,))


def _decode_to_memory(
    decoder: Decoder, cache: CacheFolder | None, key: str, about: dict[str, Any]
) -> Pixels:
    images = np.empty(about["shape"], np.uint8)
    for start, block in decoder.blocks():
        images[start : start + len(block)] = block
    notes: tuple[str, ...] = ()
    if cache and decoder.seconds > SLOW_SECONDS:
        try:
            with cache.writing(key, images.nbytes) as writer:
                writer.write(images)
                writer.finish(about | {"bad": decoder.bad})
        except RunError as error:
            notes = (_not_kept(error),)
    return Pixels(images, decoder.bad, notes)


def _not_kept(error: KmixerError) -> str:
    return f"decoded images are not kept for the next time: {error}"


def _decode_to_file(
    decoder: Decoder, cache: CacheFolder | None, key: str, about: dict[str, Any]
) -> Pixels:
    """Decode into the cache; where that cannot be written into a temporary file or into memory."""
    notes: list[str] = []
    size = int(np.prod(about["shape"]))
    if cache:
        try:
            with cache.writing(key, size) as writer:
                _write_all(decoder, writer, about)
            if entry := cache.find(key):
                return _stored(entry, f"in {cache.path}")
        except RunError as error:
            notes.append(_not_kept(error))
    try:
        stored = _decode_to_temporary_file(decoder, about, size)
    except OSError as error:
        notes.append(f"they are kept in memory: a temporary file: {file_problem(error)}")
        stored = _decode_to_memory(decoder, None, key, about)
    return Pixels(stored.images, stored.bad, (*notes, *stored.notes))


def _decode_to_temporary_file(decoder: Decoder, about: dict[str, Any], size: int) -> Pixels:
    if size > shutil.disk_usage(tempfile.gettempdir()).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with tempfile.TemporaryFile(prefix="kmixer-") as file:
        _write_all(decoder, EntryWriter(file), about)
        entry = Entry(os.dup(file.fileno()), "a temporary file")
    return _stored(entry, f"in {tempfile.gettempdir()} until the command ends")


def _write_all(decoder: Decoder, writer: EntryWriter, about: dict[str, Any]) -> None:
    for _, block in decoder.blocks():
        writer.write(block)
    writer.finish(about | {"bad": decoder.bad})
