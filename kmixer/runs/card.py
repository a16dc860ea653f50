"""Model cards: what a model is and how to use it, as the Hugging Face Hub reads them."""

from pathlib import Path

from ..exporting.artifact import model_bytes

TEMPLATE = "card.md"

# How to use a file, in its folder; `images` stands for any uint8 images of the model's size.
USES = {
    "run": """import kmixer

run = kmixer.load_run(".")
probabilities = run.predict(images)
print(run.class_names[probabilities[0].argmax()])""",
    "saved_model": """import tensorflow as tf

labels = open("labels.txt", encoding="utf-8").read().splitlines()
model = tf.saved_model.load(".").signatures["serving_default"]
probabilities = model(images=tf.constant(images))["probabilities"].numpy()
print(labels[probabilities[0].argmax()])""",
    "tflite": """from ai_edge_litert.interpreter import Interpreter  # or tensorflow.lite's

labels = open("labels.txt", encoding="utf-8").read().splitlines()
model = Interpreter("model.tflite").get_signature_runner()
probabilities = model(images=images)["probabilities"]
print(labels[probabilities[0].argmax()])""",
    "onnx": """import onnxruntime

labels = open("labels.txt", encoding="utf-8").read().splitlines()
model = onnxruntime.InferenceSession("model.onnx")
probabilities = model.run(["probabilities"], {"images": images})[0]
print(labels[probabilities[0].argmax()])""",
    "openvino": """import openvino

labels = open("labels.txt", encoding="utf-8").read().splitlines()
model = openvino.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
probabilities = model([images])["probabilities"]
print(labels[probabilities[0].argmax()])""",
    "torch": """import torch

labels = open("labels.txt", encoding="utf-8").read().splitlines()
model = torch.export.load("model.pt2").module()
probabilities = model(torch.from_numpy(images)).detach().numpy()
print(labels[probabilities[0].argmax()])""",
}
LIBRARIES = {"run": "keras", "saved_model": "tf-keras", "tflite": "tflite", "onnx": "onnx",
             "openvino": "openvino", "torch": "pytorch"}  # fmt: skip


def run_card(run, metrics=None):
    """Return the card of a run, as Markdown.

    Args:
        run: a `Run`.
        metrics: its figures, of which an imported one has none.
    """
    return _render(run, "run", metrics)


def export_card(run, manifest):
    """Return the card of an export, as Markdown.

    Args:
        run: the `Run` that it comes from.
        manifest: what its manifest will hold; its size and proof are told.
    """
    metrics = run.metrics if run.finished else None
    return _render(run, manifest["format"], metrics, manifest)


def _render(run, kind, metrics, manifest=None):
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
        use=USES[kind],
        library=LIBRARIES[kind],
        quoted=_quoted,
        size_of=model_bytes,
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
