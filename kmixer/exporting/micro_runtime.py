"""A file for TensorFlow Lite Micro, run by its own kernels on this machine."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import RunError, one_line
from .runtimes import litert_interpreter

SIGN = 128  # a pixel less this is the int8 that goes in
STEPS = 256  # of an int8 probability, from -128 for 0
ARENA = re.compile(r"Arena allocation total (\d+) bytes")
MOST_ARENA = 2**29  # bytes; those that it does not use are never touched
NOT_COUNTED = "the code of interpreter and kernels, the stack, the image itself"
MIN_AGREEMENT = 0.999  # share of the images with LiteRT's first class


def as_integers(images: np.ndarray) -> np.ndarray:
    """Return uint8 pixels as the int8 that go in: each less 128."""
    return (images ^ SIGN).view(np.int8)


def as_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return int8 outputs as float32 probabilities."""
    return (outputs.astype(np.float32) + SIGN) / STEPS


def open_chip(content: bytes, arena: int = MOST_ARENA) -> Callable[[np.ndarray], np.ndarray]:
    """Open a file with TensorFlow Lite Micro, which does not look whether it is sound.

    Args:
        content: of the file.
        arena: bytes of working memory to give it.

    Returns:
        A function of one uint8 image `(1, height, width, channels)` → int8 `(1, classes)`.

    Raises:
        RunError: TensorFlow Lite Micro does not run it.
    """
    interpreter = _interpreter(content, arena)

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_input(as_integers(image), 0)
        interpreter.invoke()
        return interpreter.get_output(0)

    return run


def arena_bytes(content: bytes) -> int:
    """Return the bytes of working memory that the interpreter keeps for a file, as it reports them.

    It is what `arena_used_bytes()` tells on a chip. The bytes are those of this machine: pointers
    of 32 bits take less, kernels with buffers of their own more, and for a model of a few kilobytes
    the interpreter needs some more while it plans.

    Raises:
        RunError: TensorFlow Lite Micro does not run it, or does not say how much it took.
    """
    with _said() as said:
        _interpreter(content).print_allocations()
        found = ARENA.search(said())
    if found is None:
        raise RunError("TensorFlow Lite Micro does not say how much memory it took")
    return int(found[1])


def open_litert(
    content: bytes, threads: int | None = None, reference: bool = False
) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """Open a file with LiteRT, which refuses one that is not sound; see `open_chip`.

    Args:
        content: of the file.
        threads: see `litert_interpreter`.
        reference: see `litert_interpreter`.

    Returns:
        (a function as that of `open_chip`, the runtime's name and version).
    """
    interpreter, name = litert_interpreter(content, threads, reference)
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(input_index, as_integers(image))
        interpreter.invoke()
        return interpreter.get_tensor(output_index)

    return run, name


def examine(content: bytes, images: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Compare the answers of TensorFlow Lite Micro with LiteRT's, and measure what a chip needs.

    Args:
        content: of the file.
        images: uint8 `(n, height, width, channels)`.
        probabilities: what TensorFlow Lite Micro answered, `(n, classes)`.

    Returns:
        The manifest's `details`.

    Raises:
        RunError: they differ from those of LiteRT's reference kernels; see `_check_agreement`.
    """
    outputs, name = _of_litert(content, images, reference=True)
    fast, _ = _of_litert(content, images, reference=False)
    expected, first = as_probabilities(outputs), probabilities.argmax(axis=1)
    same = outputs.argmax(axis=1) == first
    _check_agreement(name, same)
    return {
        "flash_bytes": len(content),
        "arena_bytes": arena_bytes(content),
        "not_counted": NOT_COUNTED,
        "litert": name,
        "litert_images": len(images),
        "litert_top1_agreement": float(same.mean()),
        "litert_same_bytes": float((expected == probabilities).all(axis=1).mean()),
        "litert_fast_top1_agreement": float((fast.argmax(axis=1) == first).mean()),
        "input": {"dtype": "int8", "shape": [1, *images.shape[1:]], "scale": 1.0,
                  "zero_point": -SIGN},
        "output": {"dtype": "int8", "shape": [1, expected.shape[1]], "scale": 1 / STEPS,
                   "zero_point": -SIGN},
    }  # fmt: skip


def _of_litert(content: bytes, images: np.ndarray, reference: bool) -> tuple[np.ndarray, str]:
    """Return LiteRT's int8 outputs `(n, classes)`, and its name."""
    litert, name = open_litert(content, 1, reference)
    return np.concatenate([litert(image[None]) for image in images]), name


def _check_agreement(name: str, same: np.ndarray) -> None:
    """Refuse a file of which TensorFlow Lite Micro has other answers than LiteRT.

    Args:
        name: of LiteRT.
        same: whether its reference kernels give the same first class, bool `(n,)`.
    """
    most = max(1, int(len(same) * (1 - MIN_AGREEMENT)))  # of a few images, one says nothing
    if (~same).sum() > most:
        raise RunError(
            f"TensorFlow Lite Micro has the first class of {name} for {same.sum():,} of"
            f" {len(same):,} images, expected {len(same) - most:,}; nothing was kept"
        )


def _interpreter(content: bytes, arena: int = MOST_ARENA) -> Any:
    from tflite_micro import runtime

    with _said() as said:
        try:
            return runtime.Interpreter.from_bytes(content, arena_size=arena)
        except RuntimeError as error:
            problem = one_line(said() or error)
    raise RunError(f"TensorFlow Lite Micro does not run it: {problem}")


@contextmanager
def _said() -> Iterator[Callable[[], str]]:
    """Catch what C++ code writes to stderr; yield a function that returns it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:

        def said() -> str:
            file.seek(0)
            return file.read().decode(errors="replace").strip()

        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
