"""Files that are not what `kmixer import-weights` reads: one line that names what is wrong."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from kmixer.errors import DataError, RunError, SettingsError
from kmixer.runs.import_weights import import_weights
from mixer_reference import as_timm, imported, official, write

pytestmark = pytest.mark.usefixtures("tiny_size")


def without(*names):
    return lambda arrays: {key: value for key, value in arrays.items() if key not in names}


def but(name, change):
    return lambda arrays: arrays | {name: change(arrays.get(name))}


def spoilt(value):
    def change(array):
        array = array.astype(np.float64)
        array[3] = value
        return array

    return change


HEAD, STEM = "head/kernel", "stem/bias"
BIASES = [f"MixerBlock_{n}/channel_mixing/Dense_{m}/bias" for n in (0, 1) for m in (0, 1)]
WRONG_ARRAYS = {
    "missing": (without(HEAD, STEM), "of size tiny: missing: stem/bias, head/kernel$"),
    "many missing": (without(*BIASES), r"missing: (\S+, ){2}\S+ and 1 more$"),
    "extra": (but("opt/step", lambda _: np.ones(1)), "of size tiny: extra: opt/step$"),
    "misshapen": (but(HEAD, np.transpose), r"misshapen: head/kernel 5×16 \(expected 16×5\)$"),
    "a value": (but(STEM, lambda _: np.float32(1)), r"stem/bias a single value \(expected 16\)$"),
    "no square": (lambda _: official("tiny", tokens=10), r"Dense_0/kernel 10×8 \(expected 9×8\), .* more$"),
    "no classes": (lambda _: official("tiny", classes=0), r"head/kernel 16×0 \(expected 16×1\), head/bias 0 "),
    "no names": (lambda _: {"a": np.ones(1)}, "no stem/kernel .* among its 1 arrays: a$"),
    "nothing": (lambda _: {}, "among its 0 arrays$"),
    "NaN": (but(STEM, spoilt(np.nan)), "stem/bias: holds values that are not finite"),
    "infinite in float32": (but(HEAD, spoilt(1e39)), "head/kernel: holds values that are not finite"),
    "integers": (but(STEM, lambda a: a.astype(int)), "stem/bias: received int64, expected float16, "),
    "pickled": (but(STEM, lambda a: a.astype(object)), "it holds a pickled object, which could run"),
    "pickled extra": (but("x", lambda _: np.array([{}])), "it holds a pickled object, which could run"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_wrong_arrays_are_named_in_one_line(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as caught:
        imported(tmp_path, change(official("tiny")))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{tmp_path}/w.npz: ")
    assert not (tmp_path / "runs").exists()


def test_timms_arrays_are_named_as_timm_does(tmp_path):
    arrays = as_timm(official("tiny"))
    arrays["stem.proj.weight"] = arrays["stem.proj.weight"][..., :3].copy()
    with pytest.raises(DataError, match=r"stem\.proj\.weight 16×3×4×3 \(expected 16×3×4×4\)$"):
        imported(tmp_path, arrays, "w.safetensors")


def test_another_size_that_fits_is_told(tmp_path):
    path = write(tmp_path / "w.npz", official("tiny"))
    with pytest.raises(DataError, match=r"missing: .*misshapen: .*; they fit --size tiny$"):
        import_weights(path, "S/32", root=tmp_path)
    with pytest.raises(SettingsError, match=r"mixer size: received 'b17' \(nearest: 'b16'"):
        import_weights(path, "b17", root=tmp_path)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2000])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def bare_bytes(path):
    """An archive that has under an array's name what is no array."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("note", "text")


def eight_bits(path):
    header = {"stem.proj.weight": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0")


WRONG_FILES = {
    "gone": ("w.npz", lambda p: p.unlink(), "cannot be read: No such file"),
    "a folder": ("w.npz", lambda p: (p.unlink(), p.mkdir()), "cannot be read: it is a folder"),
    "truncated": ("w.npz", truncate, r"cannot be read: damaged, or no \.npz file$"),
    "flipped": ("w.npz", flip, r"cannot be read: \w+"),
    "text": ("w.npz", lambda p: p.write_text("text"), r"damaged, or no \.npz file$"),
    "a pickle": ("w.npz", lambda p: p.write_bytes(pickle.dumps({})), r"damaged, or no \.npz file$"),
    "no array": ("w.npz", bare_bytes, "note is no array"),
    "truncated, timm": ("w.safetensors", truncate, r"cannot be read: \w+"),
    "empty, timm": ("w.safetensors", lambda p: p.write_bytes(b""), r"cannot be read: \w+"),
    "text, timm": ("w.safetensors", lambda p: p.write_text("text" * 9), r"cannot be read: \w+"),
    "eight bits": ("w.safetensors", eight_bits, r"cannot be read: .*float8"),
}


@pytest.mark.parametrize(("name", "change", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_damaged_files_are_refused_in_one_line(tmp_path, name, change, message):
    change(write(tmp_path / name, official("tiny")))
    with pytest.raises(DataError, match=message) as caught:
        import_weights(tmp_path / name, "tiny", root=tmp_path / "runs")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{tmp_path}/{name}: ")
    assert not (tmp_path / "runs").exists()


def test_torchs_own_files_are_refused(tmp_path):
    (tmp_path / "w.pth").write_bytes(pickle.dumps({}))
    with pytest.raises(DataError, match=r"received '\.pth', expected one of \.npz, \.safetensors$"):
        import_weights(tmp_path / "w.pth", "tiny")


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"a\nb\n", "received 2 lines, expected 5 class names"), (b"\xff\n", "it is not UTF-8 text"),
     (None, "cannot be read: No such file")],
)  # fmt: skip
def test_labels_that_do_not_fit(tmp_path, text, message):
    if text is not None:
        (tmp_path / "labels.txt").write_bytes(text)
    with pytest.raises(DataError, match=message):
        imported(tmp_path, labels=tmp_path / "labels.txt")
    assert not (tmp_path / "runs").exists()


def test_the_folder_is_never_overwritten_and_the_scale_is_checked(tmp_path):
    assert imported(tmp_path, out=tmp_path / "mine").folder == tmp_path / "mine"
    with pytest.raises(RunError, match="already there"):
        imported(tmp_path, out=tmp_path / "mine")
    with pytest.raises(SettingsError, match=r"data\.std"):
        imported(tmp_path, std=0.0)
