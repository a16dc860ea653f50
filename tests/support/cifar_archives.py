"""CIFAR-10 archives in the official layouts."""

import io
import pickle
import tarfile
from hashlib import sha256

import numpy as np

from kmixer.data.sources import cifar

BATCHES = cifar.CIFAR10.batches
NAMES = [*BATCHES["train"], *BATCHES["test"]]


class PythonTwo(pickle._Pickler):
    """Writes byte strings as Python 2 does, and a dtype's flags as the numbers of old NumPy."""

    def save_bytes(self, text):
        self.write(pickle.SHORT_BINSTRING + bytes([len(text)]) + text if len(text) < 256
                   else pickle.BINSTRING + len(text).to_bytes(4, "little") + text)  # fmt: skip

    def save_bool(self, flag):
        self.save(int(flag))

    dispatch = pickle._Pickler.dispatch | {bytes: save_bytes, bool: save_bool}


def shrink(images, monkeypatch, layout=cifar.CIFAR10):
    """Let an archive of this layout have so few images in each batch."""
    for batches in layout.batches.values():
        for name in batches:
            monkeypatch.setitem(batches, name, images)


def batch(number):
    """Return pixels (image, channel, row, column) and labels; a pixel tells all but the row."""
    images = BATCHES["test"]["test_batch"]
    index = np.arange(images)[:, None, None, None]
    channel, column = np.arange(3)[:, None, None], np.arange(32)
    pixels = (index % 7 * 10 + channel * 80 + column + number) % 256
    pixels = np.broadcast_to(pixels, (images, 3, 32, 32))
    return pixels.astype(np.uint8).reshape(images, -1), (np.arange(images) + number) % 10


def content(number, layout):
    pixels, labels = batch(number)
    if layout == "binary":
        return np.concatenate([labels.astype(np.uint8)[:, None], pixels], axis=1).tobytes()
    buffer = io.BytesIO()
    PythonTwo(buffer, 2).dump({b"data": pixels, b"labels": labels.tolist()})
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write(path, layout, members, monkeypatch, of=cifar.CIFAR10):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f"cifar-10/{name}{'.bin' if layout == 'binary' else ''}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    reader = {"binary": cifar.read_binary_batch, "python": cifar.read_python_batch}[layout]
    monkeypatch.setitem(of.readers, sha256(path.read_bytes()).hexdigest(), reader)
    return path
