"""Run folders that claim more than any memory holds: refused before anything of that size is there."""

import json
import time

import keras
import pytest

import kmixer
from hostile_files import settings
from invalid_input.case import Good
from kmixer.errors import KmixerError, SettingsError
from run_bombs import BOMBS
from subprocess_usage import kmixer as run_process
from tiny_settings import tiny_settings

if keras.backend.backend() != "tensorflow":
    pytest.skip("a run is refused whatever the backend", allow_module_level=True)

SECONDS, MEGABYTES = 2, 1000


def without_checksums(run):
    """Make a run of a format whose files do not name each other; a forger would count them anew."""
    settings(run={"format": 2})(run)
    metrics = json.loads((run / "metrics.json").read_text())
    metrics.pop("content_sha256", None)
    (run / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def bomb(trained_run, image_folder, tmp_path):
    """A function that returns a copy of a run, made into a bomb."""

    def make(kind):
        Good(trained_run.folder, None, image_folder).copy_run(tmp_path / kind)
        without_checksums(tmp_path / kind)
        BOMBS[kind](tmp_path / kind)
        return tmp_path / kind

    return make


@pytest.mark.parametrize("kind", BOMBS)
def test_a_run_that_claims_too_much_is_refused_at_once(kind, bomb):
    folder = bomb(kind)
    began = time.process_time()
    with pytest.raises(KmixerError) as caught:
        run = kmixer.load_run(folder)
        run.metrics  # noqa: B018  which every table of runs reads
        run.check_model()
        run.load_model()
    assert time.process_time() - began < SECONDS
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.torture
def test_all_of_them_as_commands(bomb, image_folder, tmp_path, saw):
    most, seconds = 0, {}
    image = next(image_folder.rglob("*.png"))
    for kind in BOMBS:
        done = run_process(["predict", str(bomb(kind)), str(image)], tmp_path)
        assert done.code in (1, 2) and done.stderr.count("\n") == 1, (kind, done.stderr)
        most, seconds[kind] = max(most, done.megabytes), done.seconds
        assert done.megabytes < MEGABYTES, kind
    slow = [kind for kind in seconds if seconds[kind] > SECONDS]
    assert not slow
    saw(
        "run bombs",
        f"{len(BOMBS)} of {len(BOMBS)} refused, at most {most:,.0f} MB in memory and"
        f" {max(seconds.values()):.1f} s of the processor",
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"tokens_mlp_dim": 10**9, "hidden_dim": 10**6}, r"model: received a model of [\d,]+ parameters"),
        ({"blocks": 10**6}, "received 1,000,000 blocks or layers, expected at most 1,000"),
        ({"name": "mlp", "hidden_dims": [10**6, 10**6]}, r"1,000,0[\d,]+ parameters, which take [\d,.]+ GB"),
        ({"name": "cnn", "stages": [{"filters": 2, "padding": [10**6, 10**6]}]}, "received a model"),
    ],
)  # fmt: skip
def test_a_model_above_the_memory_is_not_trained(model, message, image_folder, tmp_path):
    values = tiny_settings(image_folder)
    named = {key: value for key, value in values["model"].items() if "name" not in model}
    with pytest.raises(SettingsError, match=message):
        kmixer.train(kmixer.build_settings(values | {"model": named | model}), root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_honest_run_does_not_notice(trained_run):
    began = time.process_time()
    trained_run.check_model()
    trained_run.load_model()
    assert time.process_time() - began < SECONDS
