"""Malformed images, folders of images, archives, prepared data and weights."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

from invalid_input.case import Case, written


def image(form="PNG", size=(8, 8)):
    """Return the bytes of a good image file."""
    buffer = io.BytesIO()
    Image.new("L", size, 100).save(buffer, form)
    return buffer.getvalue()


def npz(**arrays):
    """Return the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def archive(**members):
    """Return the bytes of a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def tarball(content=b"x"):
    """Return the bytes of a .tar.gz file with one member that wants to be elsewhere."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        member = tarfile.TarInfo("../canary")
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def flipped(content):
    """Return bytes with the middle one changed."""
    return (
        content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 0xFF])
        + content[len(content) // 2 + 1 :]
    )


def header(width, height):
    """Return a PNG of a header and nothing else."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + b"\0\0\0\0"


IMAGES = {
    "empty.png": b"",
    "text.png": b"no image",
    "cut.png": image()[:40],
    "cut.jpg": image("JPEG", (64, 64))[:300],
    "cut.gif": image("GIF")[:20],
    "cut.bmp": image("BMP")[:60],
    "cut.tif": image("TIFF")[:60],
    "cut.webp": image("WEBP")[:30],
    "huge.png": header(20_000, 20_000),
    "no-pixels.png": header(0, 8),
    "photoshop.png": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x10\0\0\0\x10\0\x08\0\3" + bytes(100),
    "vector.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "page.png": b"%PDF-1.7\n",
    "nul.png": bytes(1000),
}
FLAT = {f"{label}/{n}.png": image() for label in "ab" for n in range(4)}
FOLDERS = {
    "no classes": {"notes.txt": b"x"},
    "images without classes": {f"{n}.png": image() for n in range(5)},
    "one class": {f"a/{n}.png": image() for n in range(5)},
    "an archive": {"a.zip": archive(a="b")},
    "splits without classes": {f"{split}/{n}.png": image() for split in ("train", "test") for n in range(4)},
    "held-out folders only": {f"{split}/{name}": each for split in ("val", "test") for name, each in FLAT.items()},
    "a class of damaged images": FLAT | {"c/0.png": b"x", "c/1.png": image()[:30]},
    "one image a class": {"a/0.png": image(), "b/0.png": image()},
    "test of other classes": {f"train/{name}": each for name, each in FLAT.items()} | {"test/c/0.png": image()},
    "test damaged": {f"train/{name}": each for name, each in FLAT.items()} | {"test/a/0.png": b"", "test/b/0.png": b""},
}  # fmt: skip
READ_FOLDER = {
    "train": ("train", "photos-7"),
    "data info": ("data", "info", "photos-7"),
    "data show": ("data", "show", "photos-7"),
    "evaluate": ("evaluate", "run", "photos-7"),
    "finetune": ("finetune", "run", "photos-7"),
    "export": ("export", "run", "--format", "tflite", "--data", "photos-7"),
}
WEIGHTS = {
    "weights.npz": {
        "empty": b"", "text": b"weights", "cut": npz(a=np.ones(1000))[:3000], "a pickle": pickle.dumps({}),
        "a pickled array": npz(a=np.array([{}], object)), "another's arrays": npz(a=np.ones(3)), "no arrays": archive(),
        "text in it": archive(a="text"), "flipped": flipped(npz(**{"stem/kernel": np.ones(1000)})),
        "a cut array": archive(**{"stem/kernel.npy": b"\x93NUMPY\1\0"}), "only a stem": npz(**{"stem/kernel": np.ones(9)}),
        "a scalar": npz(**{"stem/kernel": np.float32(1)}), "words": npz(**{"head/kernel": np.array(["a"])}),
        "an enormous shape": archive(**{"stem/kernel.npy": b"\x93NUMPY\1\0v\0" + (
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }").ljust(117) + b"\n"}),
    },
    "weights.safetensors": {
        "empty": b"", "text": b"weights" * 9, "an enormous header": b"\xff" * 8 + b"{}", "no header": struct.pack("<Q", 2),
        "not JSON": struct.pack("<Q", 2) + b"[[", "no arrays": struct.pack("<Q", 2) + b"{}",
        "offsets beyond the end": struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(60),
    },
    "weights.pth": {"a pickle": pickle.dumps({})}, "weights.h5": {"another format": b"\x89HDF\r\n\x1a\n"},
    "weights": {"without a suffix": b"x"},
}  # fmt: skip
ARCHIVES = {"empty": b"", "text": b"x", "a zip": archive(a="b"), "gzip of nothing": gzip.compress(b""),
            "another tar": tarball(), "cut": tarball()[:30]}  # fmt: skip
PIXELS = np.zeros((4, 32, 32, 3), np.uint8)
PREPARED = {
    "empty": b"", "text": b"x", "cut": npz(train_images=PIXELS)[:2000], "half": npz(train_images=PIXELS),
    "pickled": npz(**{f"{s}_{k}": np.array([{}], object) for s in ("train", "test") for k in ("images", "labels")}),
    "flipped": flipped(npz(**{f"{s}_{k}": PIXELS for s in ("train", "test") for k in ("images", "labels")})),
    "floats": npz(**{f"{s}_images": PIXELS / 2.0 for s in ("train", "test")},
                  **{f"{s}_labels": np.zeros(4, np.int32) for s in ("train", "test")}),
    "labels beyond the classes": npz(**{f"{s}_images": PIXELS for s in ("train", "test")},
                                     **{f"{s}_labels": np.full(4, 99, np.int32) for s in ("train", "test")}),
    "fewer labels": npz(**{f"{s}_images": PIXELS for s in ("train", "test")},
                        **{f"{s}_labels": np.zeros(3, np.int32) for s in ("train", "test")}),
}  # fmt: skip


def cases():
    """Images to predict, folders to read, weights and archives to import, data prepared before."""
    for name, content in IMAGES.items():
        yield Case(
            f"predict {name}",
            ("predict", "run", name, "--strict"),
            (name,),
            _with_run(written(name, content)),
        )
    for command, words in READ_FOLDER.items():
        for kind, files in FOLDERS.items():
            yield Case(f"{command}, {kind}", words, ("photos-7",), _with_run(_folder(files)))
    for name, kinds in WEIGHTS.items():
        for kind, content in kinds.items():
            yield Case(
                f"import-weights {name}, {kind}",
                ("import-weights", name, "--size", "s32"),
                (name,),
                written(name, content),
            )
    for kind, content in ARCHIVES.items():
        words = ("data", "import", "cifar10", "archive-7.tar.gz", "--data-dir", "data")
        yield Case(
            f"data import, {kind}",
            words,
            ("archive-7.tar.gz",),
            written("archive-7.tar.gz", content),
        )
    for kind, content in PREPARED.items():
        for command in (("train", "cifar10"), ("data", "info", "cifar10")):
            yield Case(f"{' '.join(command)}, prepared, {kind}", (*command, "--data-dir", "."), ("kmixer-cifar10.npz",),
                       written("kmixer-cifar10.npz", content))  # fmt: skip


def _with_run(prepare):
    def both(here, good):
        good.copy_run(here / "run")
        prepare(here, good)

    return both


def _folder(files):
    def prepare(here, good):
        for name, content in files.items():
            path = here / "photos-7" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return prepare
