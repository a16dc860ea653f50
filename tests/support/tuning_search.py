"""A search that takes seconds, for the tests of `kmixer tune`."""

import csv

from kmixer.tuning.trials import FINISHED, METRICS, Outcome
from tiny_settings import tiny_settings

SPACE = ("model.blocks=1,2", "optimizer.learning_rate=1e-4..1e-1:log")


def tiny_search(image_folder, *options, name="halves-tune", epochs=1, space=SPACE):
    """Return the words of a search over tiny Mixers on the images of two halves.

    Args:
        image_folder: the images.
        options: further words of the command.
        name: of the search's folder.
        epochs: of each trial.
        space: what `--search` is given.
    """
    words = ["tune", image_folder, "--epochs", epochs, "--name", name]
    for text in space:
        words += ["--search", text]
    searched = {text.partition("=")[0] for text in space} | {"training.epochs"}
    for section, keys in tiny_settings().items():
        for key, value in keys.items():
            if f"{section}.{key}" not in searched:
                words += ["--set", f"{section}.{key}={str(value).lower()}"]
    return [str(word) for word in (*words, *options)]


def read_trials(folder):
    """Return the rows of a search's trials.csv."""
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def finished(value, best_epoch=1):
    """Return the outcome of a trial that reached this value of the objective."""
    return Outcome(FINISHED, None, value, best_epoch, dict.fromkeys(METRICS, 1))
