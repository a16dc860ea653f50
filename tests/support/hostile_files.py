"""Files that would do something if they were believed: run code, read or write elsewhere, fill memory."""

import io
import json
import marshal
import os
import pickle
import stat
import warnings
import zipfile

import h5py
import numpy as np
import yaml

CANARY = "canary"  # what each of them would create, in the folder of the command
ZEROS = 100_000_000  # bytes that a bomb unpacks to; more than a file of its size may


class Touch:
    """Pickled, it creates the canary where it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


def members(path):
    """Return the members of a zip file by their names."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, content, *more):
    """Write a zip file anew, with more `(ZipInfo or name, bytes)` at its end."""
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name may come twice
        for name, data in [*content.items(), *more]:
            archive.writestr(name, data)


def described(layer):
    """Return a change that adds a layer to the model that the file describes."""

    def change(run):
        content = members(run / "model.keras")
        config = json.loads(content["config.json"])
        config["config"]["layers"].append(layer)
        rewrite(run / "model.keras", content | {"config.json": json.dumps(config).encode()})

    return change


def weights(change):
    """Return a change of the HDF5 file inside model.keras; `change` is given it opened."""

    def rewritten(run):
        content = members(run / "model.keras")
        buffer = io.BytesIO(content["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file, run)
        rewrite(run / "model.keras", content | {"model.weights.h5": buffer.getvalue()})

    return rewritten


def first_array(file):
    """Return the name of the first array of an HDF5 file."""
    found = []
    file.visititems(
        lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
    )
    return found[0]


def instead(make):
    """Return a change that puts something in the first array's place."""

    def change(file, run):
        name = first_array(file)
        shape = file[name].shape
        del file[name]
        make(file, name, shape, run)

    return weights(change)


def elsewhere(file, name, shape, run):
    """Keep an array's bytes in another file."""
    (run / "secret").write_bytes(bytes(4 * int(np.prod(shape))))
    file.create_dataset(name, shape, "f4", external=[(str(run / "secret"), 0, h5py.h5f.UNLIMITED)])


def virtual(file, name, shape, run):
    """Make an array of another file's."""
    with h5py.File(run / "secret.h5", "w") as other:
        other["a"] = np.zeros(shape, "f4")
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource(str(run / "secret.h5"), "a", shape)
    file.create_virtual_dataset(name, layout)


def not_numbers(file, run):
    """Put NaN into the weights."""
    array = file[first_array(file)]
    array[...] = np.full(array.shape, np.nan)


def zip_bomb(run):
    """Let the weights unpack to a thousand times their size."""
    content = members(run / "model.keras")
    del content["model.weights.h5"]
    with zipfile.ZipFile(
        run / "model.keras", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        fill(archive, "model.weights.h5")


def fill(archive, name):
    """Write zeros into a member of a zip file."""
    with archive.open(name, "w", force_zip64=True) as member:
        for _ in range(ZEROS // 10_000_000):
            member.write(bytes(10_000_000))


def more_members(*more):
    """Return a change that adds members to model.keras."""
    return lambda run: rewrite(run / "model.keras", members(run / "model.keras"), *more)


def link():
    """Return a zip member that is a symbolic link."""
    info = zipfile.ZipInfo("model.weights.h5")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def symlink(run):
    """Make of the weights a symbolic link to them."""
    content = members(run / "model.keras")
    data = content.pop("model.weights.h5")
    (run / "secret.h5").write_bytes(data)
    rewrite(run / "model.keras", content, (link(), str(run / "secret.h5")))


def settings(**changes):
    """Return a change of config.yaml."""

    def change(run):
        values = yaml.safe_load((run / "config.yaml").read_text())
        for key, value in changes.items():
            values[key] |= value
        (run / "config.yaml").write_text(yaml.safe_dump(values))

    return change


def legacy(run):
    """Write a file of Keras 2's format, which describes a Lambda layer."""
    with h5py.File(run / "model.keras", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": {}})


CODE = marshal.dumps(compile(f"__import__('os').system('touch {CANARY}')", "", "eval"))
LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None, "name": "l",
          "config": {"function": {"class_name": "__lambda__", "config": {"code": CODE.hex()}}}}  # fmt: skip
FUNCTION = {
    "module": "os",
    "class_name": "function",
    "config": "system",
    "registered_name": "system",
}
PYTHON = f"!!python/object/apply:os.system ['touch {CANARY}']\n"
# By what they are: a change of a run's folder. `predict`, `evaluate`, `export` and `serve` open it.
RUNS = {
    "a Lambda layer": described(LAMBDA),
    "a TFSMLayer": described(LAMBDA | {"class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}}),
    "a function of a module": described(FUNCTION),
    "a class of a module": described(LAMBDA | {"module": "subprocess", "class_name": "Popen"}),
    "Keras 2's format": legacy,
    "a pickle": lambda run: (run / "model.keras").write_bytes(pickle.dumps(Touch())),
    "an external link": instead(lambda f, n, s, run: f.__setitem__(n, h5py.ExternalLink("/etc/passwd", "/a"))),
    "a soft link": instead(lambda f, n, s, run: f.__setitem__(n, h5py.SoftLink("/nowhere"))),
    "an array in another file": instead(elsewhere),
    "an array of another file": instead(virtual),
    "an array that is a bomb": instead(lambda f, n, s, run: f.create_dataset(n, (10**9,), "f4", chunks=(10**6,))),
    "a zip bomb": zip_bomb,
    "a member above the folder": more_members((f"../{CANARY}", b"x")),
    "a member that is a link": symlink,
    "a member twice": more_members(("config.json", b"{}")),
    "NaN": weights(not_numbers),
    "weights that do not fit": settings(model={"hidden_dim": 6}),
    "settings that run Python": lambda run: (run / "config.yaml").write_text(f"run: {PYTHON}"),
    "settings that name a module": settings(model={"name": "subprocess.Popen"}),
}  # fmt: skip


def pickled_array(here):
    """Write an .npz file with a pickle in it."""
    np.savez(here / "weights.npz", **{"stem/kernel": np.array([Touch()], object)})


def bomb_of_arrays(here):
    """Write an .npz file that unpacks to a thousand times its size."""
    with zipfile.ZipFile(
        here / "weights.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        fill(archive, "stem/kernel.npy")


def checkpoint(here):
    """Return where the run's only checkpoint is to be."""
    (here / "run" / "checkpoint.previous.npz").unlink()
    return here / "run" / "checkpoint.npz"


# Other files, with the command that reads them.
OTHERS = {
    "a pickle in an .npz file": (pickled_array, ("import-weights", "weights.npz", "--size", "s32")),
    "an .npz file that is a bomb": (bomb_of_arrays, ("import-weights", "weights.npz", "--size", "s32")),
    "a settings file that runs Python": (
        lambda here: (here / "s.yaml").write_text(f"model: {PYTHON}"), ("train", "{images}", "--config", "s.yaml")),
    "a checkpoint that is a pickle": (
        lambda here: checkpoint(here).write_bytes(pickle.dumps(Touch())), ("resume", "run")),
    "a checkpoint with a pickle": (
        lambda here: np.savez(checkpoint(here), state=np.array([Touch()], object)), ("resume", "run")),
}  # fmt: skip
