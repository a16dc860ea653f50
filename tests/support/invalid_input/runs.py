"""Broken run folders and exports, for every command that opens one."""

import json
import os
import shutil

import numpy as np
import yaml

from invalid_input.case import Case
from invalid_input.settings import LAUGHS

FOLDER = "broken-7"
OPEN = {
    "resume": ("resume", FOLDER),
    "finetune": ("finetune", FOLDER, "{images}"),
    "evaluate": ("evaluate", FOLDER),
    "predict": ("predict", FOLDER, "{images}"),
    "export": ("export", FOLDER, "--format", "tflite"),
    "serve": ("serve", FOLDER, "--port", "0"),
    "compare": ("compare", FOLDER),
    "report": ("report", FOLDER),
}
ALL = tuple(OPEN)
WEIGHTS = ("finetune", "evaluate", "predict", "export", "serve")
KERAS = ("finetune", "evaluate", "predict", "export")  # what only a model that is built can tell
FIGURES = ("compare", "report")


def text(name, content):
    """Return a change that writes a file of the run's folder anew."""
    return lambda run: (run / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def gone(name):
    """Return a change that removes a file."""
    return lambda run: (run / name).unlink()


def folder_instead(name):
    """Return a change that puts a folder in a file's place."""
    return lambda run: ((run / name).unlink(), (run / name).mkdir())


def cut(name, share):
    """Return a change that keeps a share of a file's bytes."""
    return lambda run: os.truncate(run / name, int((run / name).stat().st_size * share))


def flipped(name, share):
    """Return a change that flips a byte."""

    def change(run):
        content = bytearray((run / name).read_bytes())
        content[int(len(content) * share)] ^= 0xFF
        (run / name).write_bytes(content)

    return change


def config(**changes):
    """Return a change of config.yaml's section `run`."""

    def change(run):
        values = yaml.safe_load((run / "config.yaml").read_text())
        values["run"] |= changes
        (run / "config.yaml").write_text(yaml.safe_dump(values))

    return change


def setting(section, **changes):
    """Return a change of another section of config.yaml."""

    def change(run):
        values = yaml.safe_load((run / "config.yaml").read_text())
        values[section] |= changes
        (run / "config.yaml").write_text(yaml.safe_dump(values))

    return change


def metrics(**changes):
    """Return a change of metrics.json."""

    def change(run):
        values = json.loads((run / "metrics.json").read_text()) | changes
        (run / "metrics.json").write_text(json.dumps(values))

    return change


def pickled(run):
    """Put a pickled object among a checkpoint's arrays."""
    np.savez(run / "checkpoint.npz", state=np.array([{}], object))


def alone(change):
    """Return a change of the newest checkpoint that leaves no other to fall back to."""

    def both(run):
        (run / "checkpoint.previous.npz").unlink()
        change(run)

    return both


# What is broken: the change, the commands that have to notice.
BROKEN = {
    "missing": (shutil.rmtree, ALL),
    "a file": (lambda run: (shutil.rmtree(run), run.write_text("no run")), ALL),
    "empty": (lambda run: (shutil.rmtree(run), run.mkdir()), ALL),
    "config missing": (gone("config.yaml"), ALL),
    "config empty": (text("config.yaml", ""), ALL),
    "config a folder": (folder_instead("config.yaml"), ALL),
    "config binary": (text("config.yaml", b"\xff\xfe\0\1"), ALL),
    "config a list": (text("config.yaml", "- 1\n"), ALL),
    "config cut": (cut("config.yaml", 0.5), ALL),
    "config with a python object": (text("config.yaml", "run: !!python/object/apply:os.system [touch canary]\n"), ALL),
    "config nested deeply": (text("config.yaml", "run: " + "[" * 5000), ALL),
    "config laughing": (text("config.yaml", LAUGHS), ALL),
    "config without run": (text("config.yaml", "model: {}\n"), ALL),
    "config of a newer format": (config(format=99), ALL),
    "config with a format that is a list": (config(format=[1]), ALL),
    "config with half a run": (text("config.yaml", "run: {format: 1}\n"), ALL),
    "config with an unknown setting": (setting("model", blokcs=3), ALL),
    "config with a bad setting": (setting("model", blocks=-3), ALL),
    "shape a word": (config(input_shape="8x8"), WEIGHTS),
    "shape of two": (config(input_shape=[8, 8]), WEIGHTS),
    "shape negative": (config(input_shape=[-8, 8, 1]), WEIGHTS),
    "shape enormous": (config(input_shape=[10**7, 10**7, 1]), WEIGHTS),
    "shape null": (config(input_shape=None), WEIGHTS),
    "labels missing": (gone("labels.txt"), WEIGHTS),
    "labels empty": (text("labels.txt", ""), WEIGHTS),
    "labels binary": (text("labels.txt", b"\xff\xfe\0"), WEIGHTS),
    "labels too many": (text("labels.txt", "a\nb\nc\n"), KERAS),
    "weights missing": (gone("model.keras"), WEIGHTS),
    "weights empty": (text("model.keras", ""), WEIGHTS),
    "weights text": (text("model.keras", "weights"), WEIGHTS),
    "weights a folder": (folder_instead("model.keras"), WEIGHTS),
    "weights cut": (cut("model.keras", 0.7), WEIGHTS),
    "weights flipped at a third": (flipped("model.keras", 0.3), WEIGHTS),
    "weights flipped at the end": (flipped("model.keras", 0.99), WEIGHTS),
    "weights of another model": (setting("model", hidden_dim=6), KERAS),
    "history missing": (gone("history.csv"), FIGURES),
    "history empty": (text("history.csv", ""), FIGURES),
    "history words": (text("history.csv", "epoch,loss\na,b\n"), FIGURES),
    "history binary": (text("history.csv", b"\xff\0"), FIGURES),
    "history cut": (cut("history.csv", 0.8), FIGURES),
    "metrics empty": (text("metrics.json", ""), FIGURES),
    "metrics a list": (text("metrics.json", "[1]"), FIGURES),
    "metrics cut": (cut("metrics.json", 0.5), FIGURES),
    "metrics nested": (text("metrics.json", "[" * 100_000), FIGURES),
    "metrics not a number": (metrics(seconds="nan"), FIGURES),
    "metrics of a word": (metrics(best="good"), FIGURES),
    "unfinished": (gone("metrics.json"), ("predict", "export", "serve", "compare", "report")),
    "finished": (lambda run: None, ("resume",)),
    "checkpoint text": (alone(text("checkpoint.npz", "checkpoint")), ("resume",)),
    "checkpoint empty": (alone(text("checkpoint.npz", "")), ("resume",)),
    "checkpoint cut": (alone(cut("checkpoint.npz", 0.6)), ("resume",)),
    "checkpoint flipped": (alone(flipped("checkpoint.npz", 0.5)), ("resume",)),
    "checkpoint pickled": (alone(pickled), ("resume",)),
    "checkpoint a folder": (alone(folder_instead("checkpoint.npz")), ("resume",)),
    "trained on other images": (config(data_sha256="0" * 64), ("resume",)),
    "images gone": (setting("data", name="/no/such/images"), ("resume", "evaluate")),
}  # fmt: skip


def manifest(**changes):
    """Return a change of an export's manifest."""

    def change(export):
        path = export / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


EXPORTS = {
    "manifest empty": text("manifest.json", ""),
    "manifest binary": text("manifest.json", b"\xff\xfe"),
    "manifest a list": text("manifest.json", "[]"),
    "manifest nested": text("manifest.json", "[" * 100_000),
    "manifest cut": cut("manifest.json", 0.5),
    "of an unknown format": manifest(format="pickle"),
    "of a file elsewhere": manifest(file="../../model.tflite"),
    "of an absolute file": manifest(file="/etc/passwd"),
    "of files elsewhere": manifest(files={"../x": {"bytes": 1, "sha256": ""}}),
    "of no shape": manifest(input={"trained_on": [8]}),
    "of other classes": manifest(class_names=["one"]),
    "of another run": manifest(run={}),
    "model missing": gone("model.tflite"),
    "model empty": text("model.tflite", ""),
    "model cut": cut("model.tflite", 0.5),
    "model flipped": flipped("model.tflite", 0.5),
    "labels flipped": flipped("labels.txt", 0.5),
}


def cases():
    """Every broken run for every command that has to notice, every broken export served."""
    for kind, (change, commands) in BROKEN.items():
        for command in commands:
            yield Case(
                f"{command}, {kind}",
                OPEN[command],
                (FOLDER, *_others(kind)),
                _broken(command, kind, change),
            )
    for kind, change in EXPORTS.items():
        yield Case(
            f"serve an export, {kind}",
            ("serve", "export-7", "--port", "0"),
            ("export-7",),
            _export(change),
        )


def _others(kind):
    return {
        "images gone": ("/no/such/images",),
        "labels too many": ("labels.txt", "the run's", "does not know"),
    }.get(kind, ())


def _broken(command, kind, change):
    def prepare(here, good):
        good.copy_run(here / FOLDER)
        if command == "resume" and kind != "finished":
            (here / FOLDER / "metrics.json").unlink()
        change(here / FOLDER)

    return prepare


def _export(change):
    def prepare(here, good):
        shutil.copytree(good.export, here / "export-7")
        change(here / "export-7")

    return prepare
