"""`kmixer.train` and `kmixer.resume`: what a user names → a trained run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Settings
from ..config.image_size import read_image_size
from ..config.schema import shorten
from ..data import Dataset, cut_splits, find_source, from_arrays
from ..data.sources import arrays
from ..errors import SettingsError
from ..options import by_path
from ..training import request
from ..training.recipe import recipe_of_images
from ..tuning.speed_recipes import assignments
from .run import Run

if TYPE_CHECKING:
    import keras

    from ..runs import run as run_folder
    from ..training.train import OnStart

    Callbacks = Sequence[keras.callbacks.Callback]
    Arrays = tuple[Any, Any]


def train(
    data: str | Path | Arrays | Dataset | Settings, *, preset: str | None = None,
    config: str | Path | None = None, start: str | Path | None = None,
    settings: Mapping[str, Any] | None = None, test: Arrays | None = None,
    class_names: Sequence[str] | None = None, dataset: Dataset | None = None,
    name: str | None = None, out: str | Path | None = None, root: str | Path = "saved_models",
    go_on: bool = False, callbacks: Callbacks = (), on_start: OnStart | None = None,
    read_test: bool = True, verbose: int = 1, command: str = "kmixer.train(...)",
    watchers: Callbacks = (), **options: Any,
) -> Run | None:  # fmt: skip
    """Train a classifier and write its run folder, as `kmixer train` does.

    Args:
        data: a name of `kmixer data list`, `tfds:NAME` or an image folder; (images, labels) as
            arrays, see `kmixer.datasets.from_arrays`; what `kmixer.datasets.load` returned; or
            `Settings`, which name it and all else.
        preset: a shipped preset's name; default: the data set's own, or one that suits the images.
        config: a YAML file of settings.
        start: what to start from: the folder of a run, or a name as `kmixer train --start` takes.
        settings: any settings, nested: `{"augment": {"horizontal_flip": 0.5}}`.
        test: (images, labels) to test on, where `data` are arrays; default: a tenth of those.
        class_names: of arrays, in the order of the labels.
        dataset: the images of `Settings`, where they are loaded already.
        name: of the run folder, instead of `<dataset>-<preset>-<n>`.
        out: the run folder itself, instead of root and name.
        root: where run folders go.
        go_on: resume a run of the same settings that was begun there, if there is one; a finished
            one is returned as it is.
        callbacks: more Keras callbacks, such as `keras.callbacks.CSVLogger("log.csv")`.
        on_start: called with (run, dataset, model, position) before training begins.
        read_test: whether the test set is read at the end.
        verbose: 1 prints a line an epoch, and what is trained; 0 nothing.
        command: what config.yaml says the run came from.
        watchers: the old name of `callbacks`.
        options: settings by the short names of the command line: `blocks=2`, `epochs=3`,
            `batch_size`, `learning_rate`, `backend`, `track`, …; see `kmixer.options.OPTIONS`.

    Returns:
        The finished `Run`; None in a process that helps another one, which writes the folder.

    Raises:
        KmixerError: the data, the settings or the disk do not allow it, or the loss diverged.
        InterruptedRunError: a signal ended the training.

    Example:
        >>> import kmixer
        >>> run = kmixer.train("fmnist", blocks=1, epochs=1, verbose=0, settings={
        ...     "data": {"train_per_class": 20, "validation_size": 100, "batch_size": 50}})
        >>> run.folder.name, run.metrics["epochs"]
        ('fmnist-1', 1)
    """
    beside = {"config": config, "start": start, "settings": settings, **options}
    if isinstance(data, Settings):
        _refuse({"test": test, "class_names": class_names, **beside}, "Settings hold all of it")
        asked = data
    else:
        _refuse({"dataset": dataset}, "it is for Settings, which only name their images")
        dataset = _given_images(data, test, class_names)
        preset, asked = _settings(data, dataset, preset, beside, options, verbose)
        dataset = dataset and cut_splits(dataset, asked.data)
    from ..training.train import train as train_settings

    run = train_settings(
        asked, dataset=dataset, preset=preset, command=command, root=root, name=name, out=out,
        go_on=go_on, callbacks=callbacks, on_start=on_start, read_test=read_test, verbose=verbose,
        watchers=watchers,
    )  # fmt: skip
    return Run.of(run) if run else None


def _refuse(given: Mapping[str, Any], why: str) -> None:
    """Refuse arguments that mean nothing beside the data that are given."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise SettingsError(f"{names[0]}: received a value, expected none: {why}")


def _given_images(
    data: Any, test: Arrays | None, class_names: Sequence[str] | None
) -> Dataset | None:
    """Return the images that are given as such; None: they are named."""
    if isinstance(data, tuple) and len(data) == 2:
        return from_arrays(data, test, class_names=class_names)
    _refuse({"test": test, "class_names": class_names}, "it is for (images, labels)")
    if isinstance(data, str | Path):
        return None
    if isinstance(data, Dataset):
        return data
    raise SettingsError(
        f"data: received {shorten(data)}, expected the name of a data set, a folder of images,"
        " (images, labels), or Settings, as of kmixer.build_settings"
    )


def _settings(
    data: Any, dataset: Dataset | None, preset: str | None, beside: Mapping[str, Any],
    options: Mapping[str, Any], verbose: int,
) -> tuple[str | None, Settings]:  # fmt: skip
    """Return the preset and the settings that the arguments of `train` mean."""
    config, start, nested = beside["config"], beside["start"], beside["settings"]
    name = _name(dataset) if dataset else str(data)
    given, texts = _by_path(options), [*assignments(nested or {})]
    changed = [*given, *(text.partition("=")[0] for text in texts)]
    if name == arrays.NAME and dataset and preset is config is start is None:
        gray = dataset.image_shape[-1] == 1
        recipe = recipe_of_images(len(dataset.train), gray, changed)
    else:
        start = None if start is None else str(start)
        recipe = request.choose(name, preset, config, start, changed)
    say = print if verbose else lambda line: None
    return request.recipe_settings(recipe, name, config, given, texts, say)


def _by_path(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by their settings' paths; a start asks for the size before it is checked."""
    given = by_path(options)
    if size := given.get("data.image_size"):
        try:
            given["data.image_size"] = read_image_size(size)
        except ValueError as error:
            raise SettingsError(f"image_size: {error}") from None
    return given


def _name(dataset: Dataset) -> str:
    """Return the name under which given images are known: their own where anybody can load them."""
    try:
        fixed = find_source(dataset.name).has_fixed_name
    except SettingsError:
        fixed = False
    return dataset.name if fixed else arrays.NAME


def resume(
    run: run_folder.Run, *, data: Arrays | None = None, test: Arrays | None = None,
    dataset: Dataset | None = None, callbacks: Callbacks = (), on_start: OnStart | None = None,
    read_test: bool = True, verbose: int = 1, strict: bool = False, watchers: Callbacks = (),
) -> Run | None:  # fmt: skip
    """Continue an interrupted run from its newest checkpoint; the rest as `train`.

    Files that do not belong to the checkpoint, as in a folder that was copied while it was trained,
    are written anew from it.

    Args:
        run: the `Run`.
        data: (images, labels) as they were given to `train`, which does not keep them.
        test: the test images, if they were given.
        dataset: its images with their validation split, where they are loaded already.
        callbacks: see `train`.
        on_start: see `train`.
        read_test: see `train`.
        verbose: see `train`.
        strict: refuse to go on where the result could differ, in its last bits, from that of a run
            which is not interrupted: under other versions, on another processor or another number
            of threads. By default a line says so, and config.yaml records both.
        watchers: see `train`.

    Returns:
        The finished `Run`; None in a process that helps another one.

    Raises:
        RunError: the run is finished or was not trained, another process trains it, its checkpoints
            are damaged or of another run, its data have changed, or `strict` refuses.

    Example:
        >>> import kmixer
        >>> run = kmixer.load_run("saved_models/interrupted")
        >>> run.finished
        False
        >>> kmixer.resume(run, verbose=0).finished
        True
    """
    from ..training.train import resume as resume_run

    if data is not None:
        given = from_arrays(data, test, class_names=run.class_names)
        dataset = cut_splits(given, run.settings.data)
    done = resume_run(
        run, dataset=dataset, callbacks=callbacks, on_start=on_start, read_test=read_test,
        verbose=verbose, strict=strict, watchers=watchers,
    )  # fmt: skip
    return Run.of(done) if done else None
