"""A C header of `writers/to_c.py`, compiled by this machine's compiler and called."""

import ctypes
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import processes
from ..errors import RunError, one_line
from .runtimes import Predict

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")
LIBRARY = ("-fPIC", "-shared")
# What is compiled: the header, and a function that goes through several images.
SOURCE = """#define {NAME}_IMPLEMENTATION
#include "model.h"

int classify(const uint8_t *images, int count, int bytes, int classes, float *probabilities)
{{
    static float scratch[{NAME}_SCRATCH_BYTES / sizeof(float)];
    if (bytes != {NAME}_IMAGE_BYTES || classes > {NAME}_CLASSES) return -1;
    for (int i = 0; i < count; i++)
        {name}_predict(images + i * bytes, probabilities + i * {NAME}_CLASSES, scratch);
    return {NAME}_CLASSES;
}}
"""


def find_compiler() -> list[str] | None:
    """Return the C compiler of this machine as words: CC's, else the first of `COMPILERS`."""
    if words := shlex.split(os.environ.get("CC", "")):
        path = processes.find_program(words[0])
        return [path, *words[1:]] if path else None
    return next(([path] for path in map(processes.find_program, COMPILERS) if path), None)


def lacking_compiler() -> str | None:
    """Return what is missing, in words, where there is no C compiler; None where there is one."""
    if find_compiler():
        return None
    if named := os.environ.get("CC"):
        return f"a C compiler, and CC names {named!r:.100}, which is not found"
    return f"a C compiler: none of {', '.join(COMPILERS)} is found, and CC names no other"


def compiled(header: Path) -> tuple[Predict, str]:
    """Compile a header that this machine has just written, without a warning, and load it.

    The words of CFLAGS follow `FLAGS`, so that `-O3 -march=native` of them is what counts.

    Args:
        header: the file; the library is written beside it, and may be removed afterwards.

    Returns:
        A function of images, and the compiler's version with its flags for optimization.

    Raises:
        RunError: there is no compiler, or it refuses the header.
    """
    compiler = find_compiler()
    if compiler is None:
        raise RunError(f"{header.name}: needs {lacking_compiler()}")
    flags = (*FLAGS, *shlex.split(os.environ.get("CFLAGS", "")))
    source, library = header.with_name("library.c"), header.with_name("library.so")
    prefix = re.findall(r"^int (\w+)_predict\(", header.read_text(encoding="utf-8"), re.M)[0]
    source.write_text(SOURCE.format(name=prefix, NAME=prefix.upper()), encoding="utf-8")
    words = (*compiler[1:], *flags, *LIBRARY, str(source), "-o", str(library), "-lm")
    done = processes.run_program(compiler[0], *words)
    if done.returncode:
        raise RunError(f"{compiler[0]} refuses it: {_first_error(done.stderr)}")
    return _loaded(library), f"{_version(compiler[0])} {' '.join(_optimizing(flags))}"


def _optimizing(flags: Sequence[str]) -> list[str]:
    """Return the flags that tell how it is optimized: of several levels the last one counts."""
    level = [flag for flag in flags if flag.startswith("-O")][-1]
    return [level, *(flag for flag in flags if flag.startswith(("-m", "-f")))]


def _first_error(said: str) -> str:
    lines = said.splitlines()
    line = next((line for line in lines if "error" in line), lines[0] if lines else "")
    return one_line(line) or "no reason given"


def _version(compiler: str) -> str:
    """Return what the compiler is, such as `gcc 12.2.0`."""
    lines = processes.run_program(compiler, "--version").stdout.splitlines()
    number = re.search(r"\d+(\.\d+)+", re.sub(r"\(.*\)", "", lines[0])) if lines else None
    maker = "clang" if lines and "clang" in lines[0] else "gcc"
    return f"{maker} {number[0]}" if number else Path(compiler).name


def _loaded(library: Path) -> Predict:
    classify = ctypes.CDLL(str(library)).classify
    float_pointer = np.ctypeslib.ndpointer(np.float32, flags="C")
    classify.argtypes = [np.ctypeslib.ndpointer(np.uint8, flags="C"), *[ctypes.c_int] * 3,
                         float_pointer]  # fmt: skip
    nothing = np.zeros(0, np.uint8), 0

    def predict(images: np.ndarray) -> np.ndarray:
        count, size = len(images), int(np.prod(images.shape[1:]))
        classes = classify(*nothing, size, 0, np.zeros(0, np.float32))
        if classes < 0:
            raise ValueError(f"received images of {size:,} bytes, which the header does not take")
        probabilities = np.zeros((count, classes), np.float32)
        classify(np.ascontiguousarray(images), count, size, classes, probabilities)
        return probabilities

    return predict
