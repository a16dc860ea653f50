"""Model cards: what a model is and how to use it, as the Hugging Face Hub reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.markdown import markdown_environment
from ..files.text import percent
from .conditions import libraries
from .example_image import EXAMPLE_FILE

if TYPE_CHECKING:
    from .run import Run

TEMPLATE = "card.md"

# How to use a run, and how to read the image that lies beside an export, in their folders.
USAGE = f"""import kmixer

run = kmixer.load_run(".")
probabilities = run.predict("{EXAMPLE_FILE}")
print(run.class_names[probabilities[0].argmax()])"""
READ_EXAMPLE = """import numpy as np
from PIL import Image
{imports}

images = np.array(Image.open("{file}")).reshape(1, {shape})
{rest}"""


def run_card(run: Run, metrics: Mapping[str, Any] | None = None) -> str:
    """Return the card of a run, as Markdown.

    Args:
        run: the run.
        metrics: its metrics; None for imported weights, which have none.
    """
    return _render(run, metrics, usage=USAGE, library="keras")


def export_card(
    run: Run,
    manifest: Mapping[str, Any],
    *,
    size: int,
    usage: str,
    library: str,
    language: str = "python",
) -> str:
    """Return the card of an export, as Markdown.

    Args:
        run: the run that was exported.
        manifest: the content of the export's manifest.json.
        size: bytes of the model's files.
        usage: lines that use the file; those in Python begin with the imports and an empty line.
        library: its `library_name` on the Hugging Face Hub.
        language: of `usage`.
    """
    metrics = run.metrics if run.finished else None
    if language == "python":
        imports, rest = usage.split("\n\n", 1)
        shape = ", ".join(map(str, run.info["input_shape"]))
        usage = READ_EXAMPLE.format(imports=imports, file=EXAMPLE_FILE, shape=shape, rest=rest)
    return _render(
        run, metrics, usage=usage, library=library, language=language, manifest=manifest, size=size
    )


def _render(
    run: Run,
    metrics: Mapping[str, Any] | None,
    *,
    usage: str,
    library: str,
    language: str = "python",
    manifest: Mapping[str, Any] | None = None,
    size: int | None = None,
) -> str:
    source = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    environment = markdown_environment()
    environment.filters["percent"] = percent
    shape = run.info["input_shape"]
    return environment.from_string(source).render(
        run=run,
        name=run.name,
        data=run.info["dataset"] or "images that the weights' authors chose",
        metrics=metrics,
        accuracy=_accuracy(metrics, manifest),
        settings=run.settings,
        shape="×".join(map(str, shape)),
        size=f"{shape[0]}×{shape[1]}",
        color="grey" if shape[2] == 1 else "colour",
        manifest=manifest,
        usage=usage,
        library=library,
        language=language,
        libraries=libraries(run.info, metrics["backend"]) if metrics else None,
        bytes=size,
    )


def _accuracy(
    metrics: Mapping[str, Any] | None, manifest: Mapping[str, Any] | None
) -> float | None:
    """Return the test accuracy: a quantized file has one of its own, other files the run's."""
    if manifest is not None and manifest["proof"]["test_accuracy"]:
        return manifest["proof"]["test_accuracy"]["file"]
    if metrics is not None and metrics["best"]["test"]:
        return metrics["best"]["test"]["accuracy"]
    return None
