"""Package a finished run as a start that kmixer ships, for `kmixer finetune NAME` and `--start NAME`.

    python docs/measure/package_start.py RUN NAME

RUN is the folder of a finished run. Its weights go to kmixer/runs/starts/NAME/ in half precision, with
its class names, the settings that its model and pixels need, and a card. The half-precision weights are
measured on the run's own test set, which has to be where its config.yaml says.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from jinja2 import Environment, StrictUndefined
from safetensors.numpy import save_file

from kmixer.config import loading, yaml_files
from kmixer.data import find_source, load_splits
from kmixer.evaluation.evaluate import predict_split
from kmixer.runs.run import CARD_FILE, CONFIG_FILE, INFO, LABELS_FILE, Run, load_run
from kmixer.runs.starts.names import Reference
from kmixer.runs.starts.packaged import FOLDER, WEIGHTS_FILE, open_start

MOST_BYTES = 3_000_000
PIXELS = ("image_size", "resize_size", "crop_size", "mean", "std", "classes")


def main(folder: str, name: str) -> None:
    """Write the start's folder."""
    run = load_run(folder)
    run.check_finished()
    out = FOLDER / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    write_weights(run, out / WEIGHTS_FILE)
    (out / LABELS_FILE).write_text("".join(f"{label}\n" for label in run.class_names))
    (out / CONFIG_FILE).write_text(config(run))
    accuracy = measure(run, name)
    (out / CARD_FILE).write_text(card(run, name, accuracy))
    size = sum(path.stat().st_size for path in out.iterdir())
    assert size <= MOST_BYTES, f"{out}: {size:,} bytes, at most {MOST_BYTES:,} are shipped"
    print(f"{out}: {size:,} bytes, test accuracy {accuracy:.2%}")


def write_weights(run: Run, path: Path) -> None:
    """Write the best weights in half precision."""
    model = run.in_float32().load_model()
    arrays = {w.path: keras.ops.convert_to_numpy(w).astype(np.float16) for w in model.weights}
    save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, path)
    path.chmod(0o644)


def config(run: Run) -> str:
    """Return what its model and its pixels need; a run's folders mean nothing elsewhere."""
    settings = run.settings.model_dump(mode="json")
    data = {"name": run.metrics["dataset"]} | {key: settings["data"][key] for key in PIXELS}
    values = {"data": data, "model": settings["model"]}
    loading.build_settings(values)
    info = {key: run.info[key] for key in INFO} | {"command": command(run)}
    return f"# {info['command']}\n" + yaml_files.to_yaml(values | {"run": info})


def command(run: Run) -> str:
    """Return the run's command without the folders of this machine."""
    settings, dataset = run.settings, run.metrics["dataset"]
    folder = find_source(settings.data.name).is_path  # such as a copy of CIFAR-10 as JPEG files
    words = [
        f"kmixer train {'./' if folder else ''}{dataset}",
        f"--epochs {settings.training.epochs}",
    ]
    own_preset = run.info["preset"] == dataset and not folder
    words += [f"--preset {run.info['preset']}"] if run.info["preset"] and not own_preset else []
    classes = settings.data.classes
    return " ".join([*words, *([f"--set data.classes=[{','.join(classes)}]"] if classes else [])])


def measure(run: Run, name: str) -> float:
    """Return the accuracy of the weights as they are shipped."""
    test = load_splits(run.settings.data).test
    return float(predict_split(open_start(Reference(name)).load_model(), test).accuracy)


def card(run: Run, name: str, accuracy: float) -> str:
    """Return the card, with the accuracy that the shipped weights have."""
    template = Path(__file__).with_name("start_card.md").read_text()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    values: dict[str, Any] = {
        "run": run, "name": name, "accuracy": accuracy, "metrics": run.metrics, "command": command(run),
        "size": "×".join(map(str, run.info["input_shape"][:2])),
    }  # fmt: skip
    return environment.from_string(template).render(values)


if __name__ == "__main__":
    main(*sys.argv[1:])
