"""Published weights in our model, against the forward passes of mixer_reference.py."""

from hashlib import sha256

import numpy as np
import pytest
import yaml

import kmixer
from kmixer.errors import DataError, RunError, SettingsError
from kmixer.evaluation import comparison
from kmixer.evaluation.evaluate import evaluate
from kmixer.evaluation.images import choose_images
from kmixer.models import mixer_size
from kmixer.runs.import_weights import import_weights
from kmixer.runs.run import load_run
from mixer_reference import (
    as_timm,
    gelu,
    imported,
    official,
    official_logits,
    pictures,
    timm_logits,
    write,
)

pytestmark = pytest.mark.usefixtures("tiny_size")

LAYOUTS = {"official": ("w.npz", dict, official_logits),
           "timm": ("w.safetensors", as_timm, timm_logits)}  # fmt: skip
FAST = [
    pytest.param("tiny", "official", marks=pytest.mark.backends),
    pytest.param("tiny", "timm", marks=pytest.mark.backends),
    ("S/32", "official"),
]
SLOW = [
    ("S/32", "timm"),
    *((size, layout) for size in ("S/16", "B/32", "B/16") for layout in LAYOUTS),
]


@pytest.mark.parametrize(
    ("size", "layout"), [*FAST, *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW)]
)
def test_logits_are_the_originals(tmp_path, size, layout):
    name, arrange, logits = LAYOUTS[layout]
    side = 12 if size == "tiny" else 224
    tokens = (side // mixer_size(size)["patch_size"]) ** 2
    arrays = arrange(official(size, tokens, classes=1000))
    images = pictures(side)
    run = import_weights(write(tmp_path / name, arrays), size, root=tmp_path)
    expected = logits(arrays, images)
    computed = run.load_model().predict(images, verbose=0)
    print(
        f"{size} {layout}: {np.abs(computed - expected).max():.1e} of {np.abs(expected).max():.1f}"
    )
    assert computed.dtype == np.float32 and np.abs(expected).max() > 5
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-4)


def test_the_tolerance_tells_epsilon_and_activation_apart():
    arrays, images = official("tiny"), pictures(12)
    logits = official_logits(arrays, images)
    assert np.abs(official_logits(arrays, images, epsilon=1e-3) - logits).max() > 3e-4
    assert np.abs(official_logits(arrays, images, activation=gelu) - logits).max() > 3e-4


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("w.npz", "float16"), ("w.npz", "bfloat16"), ("w.npz", "float64"),
     ("w.safetensors", "float16"), ("w.safetensors", "bfloat16")],
)  # fmt: skip
def test_other_floats_are_read_as_what_they_are(tmp_path, name, dtype):
    import ml_dtypes

    dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    arrays = {key: array.astype(dtype) for key, array in official("tiny").items()}
    run = imported(tmp_path, arrays, name)  # the original's names in either kind of file
    assert run.settings.model.activation == "gelu_tanh"
    rounded = {key: array.astype(np.float32) for key, array in arrays.items()}
    expected = official_logits(rounded, pictures(12))
    computed = run.load_model().predict(pictures(12), verbose=0)
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-4)


def test_other_pixels(tmp_path):
    """Weights trained on 0..1 instead of -1..1, as timm's miil are."""
    run = imported(tmp_path, mean=0.0, std=1.0)
    arrays, images = official("tiny"), pictures(12)
    kernel, bias = arrays["stem/kernel"], arrays["stem/bias"]
    moved = {"stem/kernel": kernel / 2, "stem/bias": bias + kernel.sum((0, 1, 2)) / 2}
    computed = run.load_model().predict(images, verbose=0)
    np.testing.assert_allclose(computed, official_logits(arrays | moved, images), rtol=0, atol=1e-4)


def test_the_run_records_its_source(tmp_path):
    run = load_run(imported(tmp_path).folder)
    assert run.folder.name == "mixer-tiny-1" and run.imported and not run.finished
    assert sorted(p.name for p in run.folder.iterdir()) == [
        "README.md",
        "config.yaml",
        "example.png",
        "labels.txt",
        "model.keras",
    ]
    text = (run.folder / "config.yaml").read_text()
    assert str(tmp_path) not in text and yaml.safe_load(text)["data"]["name"] is None
    assert run.info["imported"] == {
        "file": "w.npz", "sha256": sha256((tmp_path / "w.npz").read_bytes()).hexdigest(),
        "layout": "official", "size": "tiny", "parameters": 5_607,
    }  # fmt: skip
    assert run.settings.data.mean == run.settings.data.std == [0.5] * 3
    assert run.settings.data.image_size == 12 and run.info["input_shape"] == [12, 12, 3]
    assert run.class_names == tuple(f"class {index}" for index in range(5))


def test_an_imported_run_is_neither_resumed_nor_compared(tmp_path):
    run = imported(tmp_path)
    with pytest.raises(RunError, match="weights were imported; there is no training to resume"):
        kmixer.resume(run)
    with pytest.raises(RunError, match="weights were imported; it has no training to show"):
        comparison.find_runs([str(run.folder)])
    skipped = []
    with pytest.raises(RunError, match="holds no finished run"):
        comparison.find_runs([str(run.folder.parent)], skipped.append)
    assert "weights were imported" in skipped[0]
    with pytest.raises(SettingsError, match=r"data\.name: received null"):
        kmixer.train(run.settings, root=tmp_path)


def test_it_is_evaluated_on_a_named_data_set(tmp_path):
    from PIL import Image

    for index in range(12):
        folder = tmp_path / "images" / ("train", "test")[index % 2] / ("cat", "dog")[index // 6]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures(20, 12)[index]).save(folder / f"{index}.png")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    run = imported(tmp_path, official("tiny", classes=2), labels=tmp_path / "labels.txt")
    with pytest.raises(DataError, match=r"without a data set; .* kmixer evaluate .*tiny-1 DATASET"):
        choose_images(run)
    images = choose_images(run, str(tmp_path / "images"))
    metrics, _ = evaluate(run, images)
    logits = official_logits(official("tiny", classes=2), images.split.images)
    assert metrics["examples"] == 12
    assert metrics["accuracy"] == (logits.argmax(1) == images.split.labels).mean()


def test_numbers_as_class_names_are_matched_by_name_not_by_order(tmp_path):
    """Sorted as text, `10` comes before `2`."""
    from PIL import Image

    names = [str(number) for number in range(12)]
    for index, name in enumerate(names):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.fromarray(pictures(20, 12)[index]).save(tmp_path / "images" / name / "one.png")
    (tmp_path / "labels.txt").write_text("\n".join(names))
    run = imported(tmp_path, official("tiny", classes=12), labels=tmp_path / "labels.txt")
    images = choose_images(run, str(tmp_path / "images"))
    assert images.split.labels.tolist() == list(range(12))
    assert [str(file) for file in images.split.files] == [f"{name}/one.png" for name in names]
    metrics, _ = evaluate(run, images)
    logits = official_logits(official("tiny", classes=12), images.split.images)
    assert metrics["accuracy"] == (logits.argmax(1) == np.arange(12)).mean()


def test_the_command(run_command, tmp_path):
    path = write(tmp_path / "Mixer-tiny.npz", official("tiny", classes=7))
    labels = tmp_path / "seven names.txt"
    labels.write_text("\n".join("abcdefg"))
    options = ("--mean", "0", "--labels", labels)
    done = run_command("import-weights", path, "--size", "tiny", *options, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "5,641 parameters, 12×12×3, 7 classes, gelu_tanh" in done.stdout
    assert "kmixer evaluate saved_models/mixer-tiny-1 DATASET" in done.stdout
    config = (tmp_path / "saved_models" / "mixer-tiny-1" / "config.yaml").read_text()
    assert config.startswith(
        "# kmixer import-weights Mixer-tiny.npz --size tiny --labels 'seven names.txt' --mean 0\n"
    )
    assert str(tmp_path) not in config
    for words in (
        ("import-weights", path, "--size", "s16"),
        ("evaluate", "saved_models/mixer-tiny-1"),
    ):
        done = run_command(*words, cwd=tmp_path)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("kmixer: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_size_follows_from_the_arrays(tmp_path, layout):
    name, arrange, logits = LAYOUTS[layout]
    arrays = arrange(official("tiny"))
    run = import_weights(write(tmp_path / name, arrays), root=tmp_path)
    assert run.folder.name == "mixer-tiny-1" and run.info["imported"]["size"] == "tiny"
    computed = run.load_model().predict(pictures(12), verbose=0)
    np.testing.assert_allclose(computed, logits(arrays, pictures(12)), rtol=0, atol=1e-4)


def test_a_size_that_the_paper_does_not_have_needs_no_name(run_command, tmp_path, monkeypatch):
    from kmixer.models import SIZES

    own = {"patch_size": 3, "blocks": 3, "hidden_dim": 10, "tokens_mlp_dim": 7, "channels_mlp_dim": 9}  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setitem(SIZES, "own", own)
        arrays = official("own", tokens=16, classes=3)
    path = write(tmp_path / "w.npz", arrays)
    done = run_command("import-weights", path, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "mixer of no size of the paper: " in done.stdout and "12×12×3, 3 classes" in done.stdout
    run = load_run(tmp_path / "saved_models" / "mixer-1")
    assert own.items() <= run.settings.model.model_dump().items()
    del arrays["MixerBlock_1/LayerNorm_1/bias"]
    with pytest.raises(DataError, match=r"not those of one Mixer: missing: MixerBlock_1/LayerNorm_1/bias$"):  # fmt: skip
        import_weights(write(path, arrays), root=tmp_path)


def test_a_command_of_several_lines_is_one_line_of_the_settings(run_command, tmp_path):
    path = write(tmp_path / "a\nrun: none\n.npz", official("tiny", classes=7))
    done = run_command("import-weights", path, "--size", "tiny", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert kmixer.load_run(tmp_path / "run").info["command"].count("\n") == 2
