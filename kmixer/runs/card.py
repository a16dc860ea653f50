"""Model cards: what a model is and how to use it, as the Hugging Face Hub reads them."""

from pathlib import Path

TEMPLATE = "card.md"

# How to use a run, in its folder; `images` stands for any uint8 images of the model's size.
USAGE = """import kmixer

run = kmixer.load_run(".")
probabilities = run.predict(images)
print(run.class_names[probabilities[0].argmax()])"""


def run_card(run, metrics=None):
    """Return the card of a run, as Markdown.

    Args:
        run: a `Run`.
        metrics: its metrics, of which an imported one has none.
    """
    return _render(run, metrics, usage=USAGE, library="keras")


def export_card(run, manifest, *, size, usage, library):
    """Return the card of an export, as Markdown.

    Args:
        run: the `Run` that it comes from.
        manifest: the content of its manifest.json.
        size: bytes of the model's files.
        usage: Python lines that use the file.
        library: its `library_name` on the Hugging Face Hub.
    """
    metrics = run.metrics if run.finished else None
    return _render(run, metrics, usage=usage, library=library, manifest=manifest, size=size)


def _render(run, metrics, *, usage, library, manifest=None, size=None):
    from jinja2 import Environment, StrictUndefined

    source = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
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
        colour="grey" if shape[2] == 1 else "colour",
        manifest=manifest,
        usage=usage,
        library=library,
        quoted=_quoted,
        bytes=size,
    )


def _accuracy(metrics, manifest):
    """Return the test accuracy of what the card is of: a quantised file has its own."""
    measured = manifest and manifest["proof"]["test_accuracy"]
    if measured:
        return measured["file"]
    test = metrics and metrics["best"]["test"]
    return test["accuracy"] if test else None


def _quoted(text):
    """Return a text as YAML holds it on one line."""
    import json

    return json.dumps(str(text), ensure_ascii=False)
