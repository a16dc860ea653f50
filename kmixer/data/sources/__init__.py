"""Where images come from: one module for each data source, listed here.

A name is loaded by the first source that accepts it.
"""

from . import arrays, cifar, fashion_mnist, image_folder, tfds
from .source import LoadOptions, Source

__all__ = ["SOURCES", "LoadOptions", "Source"]

SOURCES: tuple[Source, ...] = (
    fashion_mnist.SOURCE,
    tfds.MNIST,
    *cifar.SOURCES,
    tfds.ANY,
    arrays.SOURCE,
    image_folder.SOURCE,
)
