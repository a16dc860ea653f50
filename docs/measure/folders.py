"""Measure the plain command on four folders of images; write the figures to docs/runs/folders.json.

    python docs/measure/folders.py CIFAR10 WORK [FOLDER ...] [--seeds 0 1 2] [--start RUN]

CIFAR10 is CIFAR-10 as an image folder (`train/CLASS`, `test/CLASS`); WORK takes the folders that are
made from it, and the runs. `kmixer train ./photos` is held against what a few lines of scikit-learn
and of Keras reach with the same images: the best of a support vector machine and of logistic
regression, on histograms of oriented gradients and colors or on flattened pixels; and a small
convolutional network with augmentation, given as many seconds of the processor, whatever else runs. All are measured on the same images,
which none of them has seen: in the classes' proportions, and with every class counting the same.
--start is what the shipped start stands for: it has seen no class of these folders.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kmixer.data import load, load_splits
from kmixer.runs.provenance import processor
from kmixer.runs.run import load_run

OUT = Path(__file__).parent.parent / "runs" / "folders.json"
UNSEEN = ("dog", "frog", "horse", "ship", "truck")  # classes that --start was not trained on
SIDES = (40, 200)  # of photos, in pixels
SIDE = 32  # that the others resize images to, as CIFAR-10 has it


@dataclass(frozen=True)
class Folder:
    """A folder of images to make.

    Attributes:
        about: what it is, in a few words.
        classes: images of each class, by name.
        gray: whether the images are gray, ten of the classes from Fashion-MNIST.
        resized: whether each image gets a size of its own.
        held_out: images of the largest class to measure on; the others in proportion, at least 20.
    """

    about: str
    classes: dict[str, int]
    gray: bool = False
    resized: bool = True
    held_out: int = 300


FOLDERS = {
    "small": Folder("80 images × 4 classes, of mixed sizes", dict.fromkeys(UNSEEN[1:], 80)),
    "lopsided": Folder(
        "500, 250, 50 and 10 images",
        dict(zip(UNSEEN[1:], (500, 250, 50, 10), strict=True)),
        held_out=1000,
    ),
    "gray": Folder("20 classes × 25, gray", {}, gray=True, held_out=100),
    "large": Folder("30,000 images, 10 classes", {}, resized=False, held_out=1000),
}


def make(name: str, seed: int, cifar: Path, work: Path) -> Path:
    """Make a folder with `photos/` and `held_out/` and return it."""
    folder, made = FOLDERS[name], work / f"{name}-{seed}"
    if (made / "made").exists():
        return made
    rng = np.random.default_rng(seed)
    ten = sorted(path.name for path in (cifar / "train").iterdir())
    classes = folder.classes or dict.fromkeys(ten, 25 if folder.gray else 3000)
    most = max(classes.values())
    for label, count in classes.items():
        held_out = max(round(folder.held_out * count / most), 20)
        for split, part, wanted in (("train", "photos", count), ("test", "held_out", held_out)):
            files = sorted((cifar / split / label).iterdir())
            for index in rng.permutation(len(files))[:wanted]:
                write(
                    Image.open(files[index]), made / part / label / f"{index:05}.jpg", folder, rng
                )
    if folder.gray:
        add_fashion(made, folder, rng)
    (made / "made").touch()
    return made


def add_fashion(made: Path, folder: Folder, rng: np.random.Generator) -> None:
    """Add ten classes of Fashion-MNIST."""
    fashion = load("fmnist")
    for split, part, wanted in (
        (fashion.train, "photos", 25),
        (fashion.test, "held_out", folder.held_out),
    ):
        for label, name in enumerate(fashion.class_names):
            for index in rng.permutation(np.flatnonzero(split.labels == label))[:wanted]:
                path = made / part / name.replace("/", " ") / f"{index:05}.jpg"
                write(Image.fromarray(split.images[index, :, :, 0]), path, folder, rng)


def write(image: Image.Image, path: Path, folder: Folder, rng: np.random.Generator) -> None:
    """Write an image, in a size of its own where the folder has mixed sizes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder.resized:
        side = int(rng.integers(*SIDES))
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    image.convert("L" if folder.gray else "RGB").save(path, quality=95)


def read(folder: Path, files: list[tuple[str, str]], gray: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return images `(n, 32, 32, channels)` of 0..1, and labels, of (file, class) pairs."""
    names = sorted({label for _, label in files})
    pixels = [
        np.asarray(Image.open(folder / file).convert("L" if gray else "RGB").resize((SIDE, SIDE)))
        for file, _ in files
    ]
    return np.stack(pixels).reshape(len(files), SIDE, SIDE, -1) / 255, np.array(
        [names.index(label) for _, label in files]
    )


def scores(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return accuracy and balanced accuracy."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score

    return {
        "accuracy": accuracy_score(labels, predicted),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
    }


def features(images: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients and of colors."""
    from skimage.feature import hog

    gradients = [
        hog(image, pixels_per_cell=(8, 8), cells_per_block=(2, 2), channel_axis=-1)
        for image in images
    ]
    colors = [
        np.concatenate(
            [
                np.histogram(channel, 8, (0, 1))[0] / channel.size
                for channel in image.transpose(2, 0, 1)
            ]
        )
        for image in images
    ]
    return np.concatenate([gradients, 4 * np.array(colors)], axis=1)


def classical(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Return the scores of four of scikit-learn's classifiers."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    views = {"HOG and color": features, "pixels": lambda images: images.reshape(len(images), -1)}
    found = {}
    for view, function in views.items():
        (x, y), (x_test, y_test) = ((function(images), labels) for images, labels in (train, test))
        for name, model in (
            ("SVC", SVC(C=10)),
            ("logistic regression", LogisticRegression(C=0.01, max_iter=300)),
        ):
            if name == "SVC" and view == "pixels" and len(x) > 20_000:
                continue  # hours, and behind the one on gradients wherever both were measured
            fitted = make_pipeline(StandardScaler(), model).fit(x, y)
            found[f"{name} on {view}"] = scores(y_test, fitted.predict(x_test))
    return found


def small_cnn(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    seconds: float,
    seed: int,
) -> dict[str, float]:
    """Return the scores of a small convolutional network, trained for so many seconds of the processor."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    stages = [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomRotation(0.03),
    ]
    for filters in (32, 64, 128):
        stages += [
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
        ]
    stages += [
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(int(train[1].max()) + 1),
    ]
    model = keras.Sequential(stages)
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )

    class StopInTime(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = time.process_time() - began > seconds

    began = time.process_time()
    model.fit(*train, batch_size=32, epochs=100_000, callbacks=[StopInTime()], verbose=0)
    return scores(test[1], model.predict(test[0], verbose=0).argmax(axis=1))


def train_kmixer(made: Path, seed: int, words: list[str]) -> tuple[dict[str, float], float, Path]:
    """Return the scores of the plain command, its seconds of the processor and its run folder."""
    run = made / "run"
    command = ["train", "./photos", "--out", "run", "--seed", str(seed), "--quiet", *words]
    noted = made / "seconds"
    if not noted.exists():
        shutil.rmtree(run, ignore_errors=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "kmixer_cli", *command], cwd=made, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        noted.write_text(str(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    seconds = float(noted.read_text())
    found = subprocess.run(
        [sys.executable, "-m", "kmixer_cli", "evaluate", "run", "./held_out", "--json"],
        cwd=made, check=True, capture_output=True, text=True,
    )  # fmt: skip
    metrics = json.loads(found.stdout)
    return {key: metrics[key] for key in ("accuracy", "balanced_accuracy")}, seconds, run


def measure(name: str, seed: int, cifar: Path, work: Path, words: list[str]) -> dict[str, Any]:
    """Return what each method reaches on one folder with one seed."""
    made, gray = make(name, seed, cifar, work), FOLDERS[name].gray
    kmixer, seconds, run = train_kmixer(made, seed, words)
    training = json.loads((run / "metrics.json").read_text())
    seen = [
        (str(path.relative_to(made / "photos")), path.parent.name)
        for path in sorted((made / "photos").rglob("*.jpg"))
    ]
    held_out = [
        (str(path.relative_to(made / "held_out")), path.parent.name)
        for path in sorted((made / "held_out").rglob("*.jpg"))
    ]
    used = training_files(made, run)
    train = read(made / "photos", [pair for pair in seen if pair[0] in used], gray)
    test = read(made / "held_out", held_out, gray)
    return {
        "folder": name, "about": FOLDERS[name].about, "seed": seed, "images": len(train[1]), "held_out": len(test[1]),
        "seconds": seconds, "epochs": training["epochs"], "kmixer": kmixer,
        "classical": classical(train, test), "cnn": small_cnn(train, test, seconds, seed),
    }  # fmt: skip


def training_files(made: Path, run: Path) -> set[str]:
    """Return the files that a run was trained or chosen on; the others get them all to train on."""
    dataset = load_splits(load_run(run).settings.data.changed(name=str(made / "photos")))
    return {str(file) for name in ("train", "validation") for file in dataset.splits[name].files}


def main() -> None:
    """Measure the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("folders", nargs="*", default=list(FOLDERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--start", type=Path)
    options = parser.parse_args()
    rows = json.loads(OUT.read_text())["rows"] if OUT.exists() else []
    for name in options.folders:
        words = (
            ["--start", str(options.start.resolve())]
            if options.start and name in ("small", "lopsided")
            else []
        )
        for seed in options.seeds:
            row = measure(name, seed, options.cifar.resolve(), options.work.resolve(), words)
            rows = [r for r in rows if (r["folder"], r["seed"]) != (name, seed)] + [row]
            command = "python docs/measure/folders.py CIFAR10 WORK --start HALF"
            facts = {"processor": processor(), "command": command, "rows": rows}
            OUT.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
