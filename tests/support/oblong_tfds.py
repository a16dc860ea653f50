"""A data set of TFDS whose images differ in size: `tfds:oblong`."""

import numpy as np
import tensorflow_datasets as tfds


class Oblong(tfds.core.GeneratorBasedBuilder):
    """Images twice as wide as high, of differing sizes: black, but the middle square is white."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(20), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for index in range(count):
            side = 16 if index % 2 else 32
            image = np.zeros((side, 2 * side, 3), np.uint8)
            image[:, side // 2 : -side // 2] = 255
            yield index, {"image": image, "label": index % 2}
