"""Run folders whose settings or files claim more than any memory holds; each change is given the folder."""

import io
import zipfile

import h5py
import numpy as np

from hostile_files import members, rewrite, settings, weights

MILLION = 10**6


def data(**changes):
    return settings(data=changes)


def model(**changes):
    return settings(model=changes)


def input_shape(*shape):
    return settings(run={"input_shape": list(shape)})


def written(name, content):
    """Return a change that writes a file of the run, from bytes."""
    return lambda run: (run / name).write_bytes(content)


def arrays_of(change):
    return weights(lambda file, run: change(file))


def deep_groups(file):
    group = file
    for _ in range(2000):
        group = group.create_group("a")


def many_groups(file):
    for number in range(20_000):
        file.create_group(f"g{number}")


def chunked(file):
    file.create_dataset("x", (10,), "f4", chunks=(10**8,), maxshape=(None,), compression="gzip")


def cycle(file):
    group = file.create_group("a")
    group["b"] = group


def packed(run):
    """Pack zeros into model.keras, ten times as many as its bytes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["a"] = np.zeros(30_000_000, "f4")
    with zipfile.ZipFile(run / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("metadata.json", "config.json"):
            archive.writestr(name, "{}")
        archive.writestr("model.weights.h5", buffer.getvalue())


def aliases(run):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join(10 * [f'*a{n - 1}'])}]" for n in range(1, 12)]
    (run / "config.yaml").write_text("\n".join(lines))


def appended(name, text):
    def change(run):
        with open(run / name, "a") as file:
            file.write(text)

    return change


def deep_description(run):
    content = members(run / "model.keras")
    rewrite(run / "model.keras", content | {"config.json": b'{"a":' * 200_000})


BOMBS = {
    "a million class names": written("labels.txt", b"".join(b"class %d\n" % n for n in range(MILLION))),
    "a class name without an end": written("labels.txt", b"x" * 50 * MILLION),
    "a class name of two thousand letters": written("labels.txt", b"above\n" + b"x" * 2000),
    "a hundred thousand class names": written("labels.txt", b"".join(b"c%d\n" % n for n in range(100_000))),
    "a width of a million": model(tokens_mlp_dim=MILLION),
    "a width of two thousand million": model(tokens_mlp_dim=2 * 10**9),
    "all widths of a million": model(tokens_mlp_dim=MILLION, channels_mlp_dim=MILLION, hidden_dim=MILLION),
    "a million blocks": model(blocks=MILLION),
    "a thousand blocks": model(blocks=1000),
    "forty thousand widths": model(tokens_mlp_dim=[4] * 40_000),
    "a patch of a million pixels": model(patch_size=MILLION),
    "images of 100,000 pixels a side": input_shape(100_000, 100_000, 1),
    "images of 8,000 pixels a side": input_shape(8000, 8000, 3),
    "images of a million channels": input_shape(8, 8, MILLION),
    "resized to 100,000 pixels": data(resize_size=100_000, crop_size=100_000),
    "resized to 8,000 pixels": data(resize_size=8000, crop_size=8000),
    "another family": settings(model={"name": "shift_mlp"}),
    "aliases": aliases,
    "deep lists": appended("config.yaml", "x: " + "[" * 200_000),
    "a settings file of 300 MB": appended("config.yaml", "#" * 300 * MILLION),
    "half a million values": appended("config.yaml", "x: [" + "1," * 300_000 + "]"),
    "metrics of 300 MB": written("metrics.json", b" " * 300 * MILLION),
    "metrics of deep lists": written("metrics.json", b"[" * 500_000),
    "a number of a million digits": written("metrics.json", b'{"epochs": ' + b"9" * 900_000 + b"}"),
    "an array in pieces of a hundred million": arrays_of(chunked),
    "groups that lie deep": arrays_of(deep_groups),
    "twenty thousand groups": arrays_of(many_groups),
    "a group in itself": arrays_of(cycle),
    "an array that is not there": arrays_of(lambda file: file.create_dataset("x", (10**12,), "f4")),
    "zeros that are packed": packed,
    "a description of deep lists": deep_description,
}  # fmt: skip
