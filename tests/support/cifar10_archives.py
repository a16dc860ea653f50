"""CIFAR-10 archives in the official layouts."""

import io
import pickle
import tarfile
from hashlib import sha256

import numpy as np

from kmixer.data.sources import cifar10

NAMES = [*cifar10.BATCHES["train"], *cifar10.BATCHES["test"]]


class PythonTwo(pickle._Pickler):
    """Writes byte strings as Python 2 does, and a dtype's flags as the numbers of old NumPy."""

    def save_bytes(self, text):
        self.write(pickle.SHORT_BINSTRING + bytes([len(text)]) + text if len(text) < 256
                   else pickle.BINSTRING + len(text).to_bytes(4, "little") + text)  # fmt: skip

    def save_bool(self, flag):
        self.save(int(flag))

    dispatch = pickle._Pickler.dispatch | {bytes: save_bytes, bool: save_bool}


def batch(number):
    """Return pixels (image, channel, row, column) and labels; a pixel tells all but the row."""
    index = np.arange(cifar10.IMAGES_PER_BATCH)[:, None, None, None]
    channel, column = np.arange(3)[:, None, None], np.arange(32)
    pixels = (index % 7 * 10 + channel * 80 + column + number) % 256
    pixels = np.broadcast_to(pixels, (cifar10.IMAGES_PER_BATCH, 3, 32, 32))
    return pixels.astype(np.uint8).reshape(cifar10.IMAGES_PER_BATCH, -1), (
        np.arange(cifar10.IMAGES_PER_BATCH) + number
    ) % 10


def content(number, layout):
    pixels, labels = batch(number)
    if layout == "binary":
        return np.concatenate([labels.astype(np.uint8)[:, None], pixels], axis=1).tobytes()
    buffer = io.BytesIO()
    PythonTwo(buffer, 2).dump({b"data": pixels, b"labels": labels.tolist()})
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write(path, layout, members, monkeypatch):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f"cifar-10/{name}{'.bin' if layout == 'binary' else ''}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    reader = {"binary": cifar10._read_binary_batch, "python": cifar10._read_python_batch}[layout]
    monkeypatch.setitem(cifar10.ARCHIVES, sha256(path.read_bytes()).hexdigest(), reader)
    return path
