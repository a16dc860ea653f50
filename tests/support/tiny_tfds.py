"""A data set of TFDS that needs no network: `tfds:halves_slowly`, prepared in a second or two."""

import os
import time

import numpy as np
import tensorflow_datasets as tfds

COUNTS = {"train": 60, "test": 20}


class HalvesSlowly(tfds.core.GeneratorBasedBuilder):
    """8×8 gray images; every prepared image adds a line to the file that HALVES_LOG names.

    Where HALVES_STALL is set, the preparation stops for minutes after that many images.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(names=["above", "below"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
        for index in range(COUNTS[split]):
            time.sleep(0.02)
            with open(os.environ["HALVES_LOG"], "a") as log:
                log.write(f"{split} {index}\n")
            with open(os.environ["HALVES_LOG"]) as log:
                if len(log.readlines()) == int(os.environ.get("HALVES_STALL", "-1")) < 80:
                    time.sleep(600)
            yield index, {"image": np.full((8, 8, 1), index, np.uint8), "label": index % 2}
