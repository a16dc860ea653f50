"""Images drawn with every class in proportion."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from kmixer.data.stratified import Draw, stratified


@pytest.mark.parametrize("seed", range(40))
def test_the_draw_is_that_of_scikit_learn(seed):
    """Splits were drawn by it before, and runs name their images by what was drawn."""
    random = np.random.default_rng(seed)
    classes = random.integers(1, 12)
    counts = random.integers(2, random.integers(4, 80), size=classes)
    labels = random.permutation(np.repeat(np.arange(classes), counts)).astype(np.int32)
    count = int(random.integers(classes, len(labels) - classes + 1))
    left, drawn = train_test_split(
        np.arange(len(labels)), test_size=count, stratify=labels, random_state=seed
    )
    names = [str(label) for label in range(classes)]
    split = stratified(labels, Draw(count), seed, names, "data.validation_size")
    assert [part.tolist() for part in split] == [sorted(left), sorted(drawn)]
