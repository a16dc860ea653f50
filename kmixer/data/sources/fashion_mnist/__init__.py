"""Fashion-MNIST, shipped with the package: 60,000 + 10,000 gray images of 28×28, ten classes.

From: Xiao, Rasul, Vollgraf, arXiv 1708.07747; MIT licence (LICENSE beside this file).
"""

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

from ...dataset import Dataset, Split, check_image_size
from ..idx import read_idx
from ..source import LoadOptions, Source

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "train-labels-idx1-ubyte.gz": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}


def load(folder: Traversable | None = None) -> Dataset:
    """Load Fashion-MNIST; the checksums of the uncompressed files are verified.

    Args:
        folder: where the four files lie; by default the ones shipped with the package.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = folder or resources.files(__name__)
    return Dataset(
        name="fmnist",
        source="shipped with kmixer; github.com/zalandoresearch/fashion-mnist, MIT licence",
        class_names=CLASS_NAMES,
        train=_split(folder, "train"),
        test=_split(folder, "t10k"),
    )


def scaled_fashion_mnist(shape: Sequence[int], count: int) -> np.ndarray:
    """Return the first test images in another size: uint8 `(count, height, width, channels)`.

    They stand for images of a model whose own are not here.

    Args:
        shape: (height, width, channels).
        count: how many.
    """
    from PIL import Image

    height, width, channels = shape
    images = load().test.images[:count, :, :, 0]
    scaled = [Image.fromarray(image).resize((width, height)) for image in images]
    return np.repeat(np.stack([np.asarray(image) for image in scaled])[..., None], channels, axis=3)


def _split(folder: Traversable, prefix: str) -> Split:
    images, labels = (
        read_idx(folder / name, SHA256[name])
        for name in (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz")
    )
    return Split(images[..., np.newaxis], labels.astype(np.int32))


def _load(name: str, options: LoadOptions) -> Dataset:
    return check_image_size(load(), options.image_size)


SOURCE = Source(
    "fmnist",
    "Fashion-MNIST, 60,000 + 10,000 gray images of 28×28, shipped with kmixer",
    _load,
    image_shape=(28, 28, 1),
    classes=len(CLASS_NAMES),
    tfds_name="fashion_mnist",
    license="MIT",
)
