"""The images of a search: loaded once, or anew where a trial's settings name others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..data import Dataset, load_splits
from ..errors import DataError, KmixerError, describe
from .space.geometry import check_geometry, check_steps

if TYPE_CHECKING:
    from ..config import Settings
    from ..config.data import DataSettings

# Data settings that say how images are used, not which ones are loaded.
USE_ONLY = ("mean", "std", "batch_size", "crop_size")


@dataclass(frozen=True)
class ImageFacts:
    """What decides whether a model fits the images.

    Attributes:
        shape: (height, width, channels) of the images as stored.
        training_images: how many there are to train on.
    """

    shape: tuple[int, int, int]
    training_images: int


class SearchDatasets:
    """Loads the data sets that a search's trials name; imports no Keras.

    Args:
        data: the base settings' section `data`.

    Raises:
        KmixerError: the base data set cannot be loaded.
    """

    def __init__(self, data: DataSettings) -> None:
        self.base = load_splits(data)
        self._base_key = _loading_key(data)
        self._facts: dict[str, ImageFacts | KmixerError] = {self._base_key: _facts(self.base)}
        self._latest = (self._base_key, self.base)  # of the sets that trials name

    def load(self, data: DataSettings) -> Dataset:
        """Return the `Dataset` of data settings: the base one unless they name other images."""
        key = _loading_key(data)
        if key == self._base_key:
            return self.base
        if key != self._latest[0]:
            self._latest = (key, load_splits(data))
        return self._latest[1]

    def check_fit(self, settings: Settings) -> None:
        """Refuse settings whose model or batches do not fit their images.

        Raises:
            KmixerError: they do not fit, or the images cannot be loaded.
        """
        facts = self._look_up(settings.data)
        check_geometry(settings, facts.shape)
        check_steps(settings, facts.training_images)

    def _look_up(self, data: DataSettings) -> ImageFacts:
        key = _loading_key(data)
        if key not in self._facts:
            try:
                self._facts[key] = _facts(self.load(data))
            except KmixerError as error:
                self._facts[key] = error
            except Exception as error:  # whatever it is, only these images cannot be had
                self._facts[key] = DataError(describe(error))
        facts = self._facts[key]
        if isinstance(facts, KmixerError):
            raise facts
        return facts


def _facts(dataset: Dataset) -> ImageFacts:
    height, width, channels = dataset.image_shape
    return ImageFacts((height, width, channels), len(dataset.train))


def _loading_key(data: DataSettings) -> str:
    """Return a text that two sections share where they load the same images."""
    return data.changed(**dict.fromkeys(USE_ONLY)).model_dump_json()
