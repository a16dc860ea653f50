"""Measure a run's answers, on its test images and on images of other things; write them to docs/runs/answers.json.

    python docs/measure/answers.py RUN CIFAR10

RUN is a finished run on Fashion-MNIST, CIFAR10 an image folder of CIFAR-10 (`test/CLASS`), of which every tenth image is taken, in
gray, as the run's model sees it. The digits are scikit-learn's, drawn by 43 people (8×8 pixels).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from kmixer.runs.provenance import processor

OUT = Path(__file__).parent.parent / "runs" / "answers.json"
EVERY = 10  # of CIFAR-10's test images


def write_digits(folder: Path) -> Path:
    """Write scikit-learn's digits as image files, white on black as Fashion-MNIST is."""
    folder.mkdir()
    for index, digit in enumerate(load_digits().images):
        Image.fromarray((digit * 255 / 16).astype(np.uint8)).save(folder / f"{index:04}.png")
    return folder


def link_some(images: Path, folder: Path) -> Path:
    """Link every tenth image below a folder into another."""
    folder.mkdir()
    for index, file in enumerate(sorted((images / "test").rglob("*.*"))[::EVERY]):
        (folder / f"{index:04}{file.suffix}").symlink_to(file.resolve())
    return folder


def noise(folder: Path) -> Path:
    """Write images of which each pixel is drawn by itself."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{index:04}.png")
    return folder


def answers(run: Path, unknown: Path) -> dict[str, Any]:
    """Return what `kmixer answers` measures."""
    words = ["answers", str(run), "--unknown", str(unknown), "--json", "--quiet"]
    command = [sys.executable, "-m", "kmixer_cli", *words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure the run that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("cifar", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = {
            "CIFAR-10 in gray": link_some(options.cifar, Path(temporary, "cifar")),
            "digits, drawn by hand": write_digits(Path(temporary, "digits")),
            "noise": noise(Path(temporary, "noise")),
        }
        found = {name: answers(options.run, folder) for name, folder in folders.items()}
    facts = {
        "command": "python docs/measure/answers.py RUN CIFAR10",
        "processor": processor(),
        "trained_by": json.loads((options.run / "metrics.json").read_text())["dataset"],
        "labels": (options.run / "labels.txt").read_text().splitlines(),
        "answers": next(iter(found.values()))["answers"],
        "unknown": {name: one["unknown"] for name, one in found.items()},
    }
    OUT.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
