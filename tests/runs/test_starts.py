"""What a fine-tuning starts from: a folder, a start that is shipped, published weights by name."""

import json
import pickle
import struct
from hashlib import sha256

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

import kmixer
from kmixer.errors import DataError, RunError, SettingsError
from kmixer.runs.starts import answers, catalogue, packaged, resolve_start, start_descriptions
from kmixer.runs.starts.hub import MOST_BYTES, _Listing
from kmixer.runs.starts.names import Reference, parse
from mixer_reference import as_timm, official, pictures, timm_logits

HALF = [0.5, 0.5, 0.5]


def described(**changes):
    """timm's config.json of the Mixer `tiny`."""
    pretrained = {
        "mean": HALF,
        "std": [0.25, 0.5, 1.0],
        "input_size": [3, 12, 12],
        "license": "mit",
    }
    top = {"architecture": "mixer_tiny", "num_classes": 5, "pretrained_cfg": pretrained | changes.pop("pretrained", {})}  # fmt: skip
    return json.dumps(top | changes).encode()


@pytest.fixture
def tiny(fake_hub, tiny_size):
    """The repository `someone/tiny` with a Mixer in timm's layout: (its arrays, its commit)."""
    arrays = as_timm(official("tiny"))
    commit = fake_hub.publish(
        "someone/tiny", model__safetensors=save(arrays), config__json=described()
    )
    return arrays, commit


# What a text stands for.


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("mixer-b16", "timm/mixer_b16_224.goog_in21k_ft_in1k", None),
        ("mixer_l16_224.goog_in21k", "timm/mixer_l16_224.goog_in21k", None),
        ("timm/mixer_b16_224.miil_in21k@v1", "timm/mixer_b16_224.miil_in21k", "v1"),
        ("mixer_b16_224", "timm/mixer_b16_224.goog_in21k_ft_in1k", None),
        ("timm/mixer-b16", "timm/mixer_b16_224.goog_in21k_ft_in1k", None),
        ("some-one/My.Mixer_2@refs/pr/1", "some-one/My.Mixer_2", "refs/pr/1"),
        ("cifar10-shift", "cifar10-shift", None),
    ],
)
def test_a_name_is_a_start_of_ours_or_a_repository(text, name, revision):
    found = parse(text)
    assert (found.name, found.revision, found.sha256) == (name, revision, None)
    pinned = parse(f"{text}@sha256:{'Ab' * 32}")
    assert (pinned.name, pinned.revision, pinned.sha256) == (name, revision, "ab" * 32)


def test_what_is_a_path_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/a", "b@home"):
        (tmp_path / folder).mkdir(parents=True)
    for text in (
        "runs/a",
        "runs/mistyped",
        "b@home",
        "./mixer-b16",
        "../x",
        "/x/y",
        "a/b/c",
        "~/x",
    ):
        assert not isinstance(parse(text), Reference), text
    with pytest.raises(RunError, match=r"^runs/mistyped: not a run folder"):
        resolve_start("runs/mistyped")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixer-b17", r"received 'mixer-b17', expected a run folder, .*\(nearest: 'mixer-b16'"),
        ("cifar-shift", r"nearest: 'cifar10-shift'"),
        ("", "received '', expected a run folder"),
        ("mixer-b16@", r"expected NAME\[@REVISION\]"),
        ("mixer-b16@a@b", r"expected NAME\[@REVISION\]"),
        ("mixer-b16@sha256:12", "received 'sha256:12', expected 64 hexadecimal digits"),
        ("https://huggingface.co/timm/mixer-b16/tree/main", "repository alone: timm/mixer-b16$"),
        ("hf-hub:timm/mixer-b16", "repository alone: timm/mixer-b16$"),
        ("x" * 300, "expected a run folder"),
        ("a\0b", "expected a run folder"),
    ],
)
def test_what_is_neither_is_refused_with_the_nearest_names(text, message):
    with pytest.raises(SettingsError, match=message) as caught:
        resolve_start(text)
    assert "\n" not in str(caught.value)


def test_a_run_folder_of_a_known_name_is_not_mistaken(tmp_path, monkeypatch, trained_run):
    (tmp_path / "mixer-b16").symlink_to(trained_run.folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"write \./mixer-b16 for the folder"):
        resolve_start("mixer-b16")
    assert resolve_start("./mixer-b16").settings == trained_run.settings


def test_files_of_weights_are_to_be_made_a_run_first(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    for start in (file, tmp_path):
        with pytest.raises(RunError, match=f"with: kmixer import-weights {file}$"):
            resolve_start(start)


def test_a_damaged_cache_is_told_what_to_remove(tiny, fake_hub):
    weights = resolve_start("someone/tiny").weights
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DataError, match=rf"it is damaged; remove {weights.resolve()} and run"):
        resolve_start("someone/tiny")
    weights.resolve().unlink()
    resolve_start("someone/tiny").load_model()


def test_a_runs_own_weights_can_be_pinned(trained_run):
    digest = sha256((trained_run.folder / "model.keras").read_bytes()).hexdigest()
    assert resolve_start(trained_run.folder, digest).folder == trained_run.folder
    with pytest.raises(SettingsError, match=f"received {'0' * 64}, but .* has {digest}"):
        resolve_start(trained_run.folder, "0" * 64)


# What is shipped.


@pytest.mark.parametrize("name", packaged.names())
def test_a_shipped_start_is_small_whole_and_says_what_it_is(name):
    folder = packaged.FOLDER / name
    files = {path.name: path for path in folder.iterdir()}
    assert set(files) == {"README.md", "config.yaml", "labels.txt", "weights.safetensors"}
    assert sum(path.stat().st_size for path in files.values()) < 3_000_000
    start = resolve_start(name)
    digest = sha256(files["weights.safetensors"].read_bytes()).hexdigest()
    assert start.start_settings()["finetune"] == {"run": name, "sha256": digest}
    assert "/tmp" not in files["config.yaml"].read_text() and start.settings.data.dir is None
    card = files["README.md"].read_text()
    for words in (name, start.info["command"], start.info["dataset"], "Licence", "not for"):
        assert words in card
    assert set(start.class_names) <= set(
        card.replace("(", " ").replace(",", " ").replace(")", " ").split()
    )
    height, width, channels = start.info["input_shape"]
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, channels), np.uint8)
    assert start.predict(images).shape == (2, len(start.class_names))


def test_a_shipped_start_of_another_version_is_refused():
    with pytest.raises(DataError, match=f"expected weights of SHA-256 {'0' * 64}, but this kmixer"):
        resolve_start("cifar10-shift", "0" * 64)
    with pytest.raises(DataError, match="kmixer ships one cifar10-shift, without revisions"):
        resolve_start("cifar10-shift@v2")
    with pytest.raises(
        SettingsError, match=r"received 1{64}, but cifar10-shift was given with 0{64}"
    ):
        resolve_start(f"cifar10-shift@sha256:{'0' * 64}", "1" * 64)


def test_each_name_that_is_listed_is_known():
    for name in start_descriptions():
        assert isinstance(parse(name), Reference)
    assert set(catalogue.ALIASES.values()) <= set(catalogue.TIMM)


# What is fetched.


def test_published_weights_compute_what_they_computed(tiny, fake_hub):
    arrays, commit = tiny
    start = resolve_start("someone/tiny")
    assert start.info["input_shape"] == [12, 12, 3] and start.settings.model.activation == "gelu"
    digest = sha256(save(arrays)).hexdigest()
    assert start.record == {
        "name": f"someone/tiny@{commit}", "repository": "someone/tiny", "revision": commit,
        "file": "model.safetensors", "sha256": digest, "layout": "timm", "size": "tiny", "license": "mit",
    }  # fmt: skip
    assert start.start_settings()["data"]["std"] == [0.25, 0.5, 1.0]
    scaled = {"stem.proj.weight": arrays["stem.proj.weight"] * np.reshape([2, 1, 0.5], (3, 1, 1))}
    computed = start.load_model().predict(pictures(12), verbose=0)
    np.testing.assert_allclose(
        computed, timm_logits(arrays | scaled, pictures(12)), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit", "X-Xet-Hash"])
def test_a_hub_cannot_name_files_elsewhere(tiny, fake_hub, tmp_path, header):
    fake_hub.headers = {header: "../../../../canary"}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=rf"(?i)as the Hub does: {header}: received '\.\./\.\."):
        resolve_start("someone/tiny")
    assert sorted(tmp_path.rglob("*")) == before
    fake_hub.headers = {}
    resolve_start("someone/tiny")


def test_a_hub_cannot_send_without_end(tiny, fake_hub, monkeypatch):
    monkeypatch.setitem(MOST_BYTES, "config.json", 10)
    monkeypatch.setattr("kmixer.runs.starts.hub._list", lambda reference: _Listing("0" * 40, None))
    with pytest.raises(DataError, match="received more than 10 bytes of a file"):
        resolve_start("someone/tiny")


@pytest.mark.parametrize(
    "listed", [b"[]", b"{", b'"x"', b"\xff", b'{"siblings": [{}]}', b"[" * 9999]
)
def test_a_hub_that_answers_something_else(tiny, fake_hub, listed):
    fake_hub.listed = listed
    with pytest.raises(
        DataError, match=r"someone/tiny: 127\.0\.0\.1:\d+ does not answer as the Hub"
    ):
        resolve_start("someone/tiny")


def test_a_listing_without_end_is_not_read(tiny, fake_hub, monkeypatch):
    monkeypatch.setattr(answers, "LISTING_BYTES", 1000)
    fake_hub.listed = b" " * 2000
    with pytest.raises(DataError, match="received more than 1,000 bytes of a listing"):
        resolve_start("someone/tiny")
    monkeypatch.setattr(answers, "LISTING_BYTES", 10_000)
    monkeypatch.setattr(answers, "LISTING_SECONDS", 0)  # as of one that drips
    with pytest.raises(DataError, match="a listing took more than 0 s"):
        resolve_start("someone/tiny")


def test_class_names_are_those_of_the_description(fake_hub, tiny_size):
    weights = save(as_timm(official("tiny")))
    fake_hub.publish(
        "a/b", model__safetensors=weights, config__json=described(label_names=list("vwxyz"))
    )
    assert resolve_start("a/b").class_names == tuple("vwxyz")
    fake_hub.publish("a/b", model__safetensors=weights, config__json=described())
    assert resolve_start("a/b").class_names[4] == "class 4"


def test_a_size_that_the_paper_does_not_have(fake_hub, monkeypatch):
    from kmixer.models import SIZES

    own = {
        "patch_size": 3,
        "blocks": 3,
        "hidden_dim": 10,
        "tokens_mlp_dim": 7,
        "channels_mlp_dim": 9,
    }
    monkeypatch.setitem(SIZES, "own", own)
    arrays = as_timm(official("own", tokens=16, classes=3))
    monkeypatch.delitem(SIZES, "own")
    fake_hub.publish("a/b", model__safetensors=save(arrays), config__json=described(
        pretrained={"input_size": None}))  # fmt: skip
    start = resolve_start("a/b")
    assert start.info["input_shape"] == [12, 12, 3] and start.record["size"] is None
    assert own.items() <= start.settings.model.model_dump().items()
    start.load_model()


def test_what_is_recorded_finds_the_same_bytes_without_a_network(tiny, fake_hub):
    _, commit = tiny
    recorded = resolve_start("someone/tiny").start_settings()["finetune"]
    assert recorded["run"] == f"someone/tiny@{commit}"
    fake_hub.publish("someone/tiny", model__safetensors=b"newer", config__json=b"{}")
    fake_hub.asked.clear()
    again = resolve_start(recorded["run"], recorded["sha256"])
    assert again.sha256 == recorded["sha256"] and not fake_hub.asked


def test_an_older_revision_is_fetched_by_its_commit(tiny, fake_hub):
    _, commit = tiny
    fake_hub.publish("someone/tiny", model__safetensors=b"newer", config__json=described())
    assert resolve_start(f"someone/tiny@{commit}").record["revision"] == commit
    with pytest.raises(DataError, match=r"someone/tiny@v9: someone/tiny has no such revision"):
        resolve_start("someone/tiny@v9")


def test_without_a_network_the_cache_is_used_and_it_is_said(tiny, fake_hub, monkeypatch, caplog):
    _, commit = tiny
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    host = constants.ENDPOINT.removeprefix("http://")
    with pytest.raises(
        DataError, match=rf"{host} cannot be reached, and the weights are not in the cache; "
    ) as caught:
        resolve_start("someone/tiny")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=rf"^mixer-b16: {host} cannot be reached, and"):
        resolve_start("mixer-b16")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    resolve_start("someone/tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve_start("someone/tiny").record["revision"] == commit
    assert f"commit {commit[:12]} of it is in the cache, and is used" in caplog.text
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fake_hub.status = 503
    assert resolve_start("someone/tiny").record["revision"] == commit


def test_a_download_that_breaks_off_goes_on(tiny, fake_hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 5_000)
    whole = save(tiny[0])
    fake_hub.breaks_after, fake_hub.breaks = 10_000, 2
    assert resolve_start("someone/tiny").sha256 == sha256(whole).hexdigest()
    fetched = [begin for file, begin in fake_hub.sent if file == "model.safetensors"]
    assert fetched == [0, 10_000, 20_000] and len(whole) > 20_000


def test_a_download_that_goes_on_breaking_off_is_told_and_leaves_nothing(
    tiny, fake_hub, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    fake_hub.breaks_after, fake_hub.breaks = 0, 99
    with pytest.raises(
        DataError, match=r"the download from .* broke off .*; run it again"
    ) as caught:
        resolve_start("someone/tiny")
    assert "\n" not in str(caught.value)
    assert not list(fake_hub.cache.rglob("*.safetensors"))
    fake_hub.breaks = 0
    resolve_start("someone/tiny").load_model()


@pytest.mark.parametrize("pin", ["name", "setting", "catalogue", "hub"])
def test_weights_of_another_checksum_are_refused(tiny, fake_hub, monkeypatch, pin):
    wrong, name, setting = "0" * 64, "someone/tiny", None
    if pin == "name":
        name += f"@sha256:{wrong}"
    elif pin == "setting":
        setting = wrong
    elif pin == "catalogue":
        name = "mixer-b16"
        monkeypatch.setitem(catalogue.TIMM, catalogue.ALIASES[name], wrong)
        full = f"timm/{catalogue.ALIASES[name]}"
        fake_hub.publish(full, model__safetensors=save(tiny[0]), config__json=described())
    else:
        fake_hub.stated_sha256 = wrong
    whose = {"catalogue": "kmixer knows it", "hub": "the Hub states it"}.get(pin, "it was given")
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError, match=f"expected {wrong}, as {whose}: "):
            resolve_start(name, setting)


def giant_header():
    return struct.pack("<Q", 2**62) + b"{}"


def lying_header():
    text = json.dumps(
        {"stem.proj.weight": {"dtype": "F32", "shape": [9, 3, 4, 4], "data_offsets": [0, 1728]}}
    )
    return struct.pack("<Q", len(text)) + text.encode() + b"\0" * 8


BAD = {
    "a pickle alone": ({"pytorch_model__bin": pickle.dumps({})}, r"holds no model\.safetensors, only pytorch_model\.bin, a pickle"),
    "no weights": ({"README__md": b""}, r"holds no model\.safetensors, expected the weights of an MLP-Mixer"),
    "no description": ({"model__safetensors": b"x"}, r"holds no config\.json, expected the description"),
    "a giant header": ({"model__safetensors": giant_header()}, "cannot be read: .*[Hh]eader"),
    "a lying header": ({"model__safetensors": lying_header()}, "cannot be read"),
    "text": ({"model__safetensors": b"version https://git-lfs"}, "cannot be read"),
    "another model": ({"model__safetensors": save({"patch_embed": np.ones(3, np.float32)})}, r"no stem/kernel .* among its 1 arrays: patch_embed$"),
    "no JSON": ({"config__json": b"{"}, r"config\.json: damaged, it is no JSON"),
    "no mean": ({"config__json": b'{"architecture": "mixer_b16_224"}'}, r"pretrained_cfg\.mean: received nothing"),
    "two means": ({"config__json": described(pretrained={"mean": [0, 1]})}, "mean: received 2 values, but the weights are for 3 channels"),
    "no deviation": ({"config__json": described(pretrained={"std": [0, 0, 0]})}, r"data\.std"),
    "not a number": ({"config__json": described(pretrained={"mean": ["x", 0, 0]})}, r"pretrained_cfg\.mean"),
    "another size": ({"config__json": described(pretrained={"input_size": [3, 24, 24]})}, r"received \[3, 24, 24\], but the weights are for \[3, 12, 12\]"),
    "another family": ({"config__json": described(architecture="resmlp_12_224")}, "received the architecture 'resmlp_12_224'"),
    "another activation": ({"config__json": described(model_args={"act_layer": "relu"})}, r"model_args\.act_layer: not known here"),
    "another pooling": ({"config__json": described(global_pool="max")}, "global_pool: received 'max', expected 'avg'"),
    "too few names": ({"config__json": described(label_names=["a"])}, "received 1 names, but the weights are for 5 classes"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "message"), BAD.values(), ids=BAD)
def test_what_is_no_mixer_is_refused_in_one_line(fake_hub, tiny_size, files, message):
    whole = {"model__safetensors": save(as_timm(official("tiny"))), "config__json": described()}
    if any(name in files for name in ("pytorch_model__bin", "README__md")) or message.startswith(
        "holds no config"
    ):
        whole = {}
    fake_hub.publish("a/b", **whole | files)
    with pytest.raises(DataError, match=message) as caught:
        resolve_start("a/b")
    assert "\n" not in str(caught.value)
    assert not (message.startswith("holds") and fake_hub.sent)


@pytest.mark.parametrize("change", ["misshapen", "extra", "missing", "not finite"])
def test_arrays_that_are_not_one_models_are_refused(fake_hub, tiny_size, change):
    arrays = as_timm(official("tiny"))
    if change == "misshapen":
        arrays["blocks.1.norm1.bias"] = arrays["blocks.1.norm1.bias"][:-1]
    elif change == "extra":
        arrays["stem.norm.weight"] = np.ones(16, np.float32)
    elif change == "missing":
        del arrays["norm.bias"]
    else:
        arrays["norm.bias"] = arrays["norm.bias"] * np.float32(np.nan)
    fake_hub.publish("a/b", model__safetensors=save(arrays), config__json=described())
    with pytest.raises(DataError, match=change):
        resolve_start("a/b").load_model()


def test_what_is_too_large_is_not_fetched(tiny, fake_hub):
    fake_hub.stated_size = 5_000_000_000
    with pytest.raises(
        DataError, match=r"model\.safetensors has 5,000,000,000 bytes, expected at most"
    ):
        resolve_start("someone/tiny")
    assert not fake_hub.sent


@pytest.mark.parametrize(
    ("status", "message"), [(429, "answered 429; try again later"), (400, "answered 400")]
)
def test_a_hub_that_refuses_is_quoted(tiny, fake_hub, status, message):
    fake_hub.status = status
    with pytest.raises(DataError, match=message):
        resolve_start("someone/tiny")


def test_a_repository_that_is_not_there(fake_hub):
    with pytest.raises(
        DataError, match=r"^a/b: there is no such folder, and .* has no such repository"
    ):
        resolve_start("a/b")


def test_without_the_hubs_client_it_is_said_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SettingsError, match=r"mixer-b16: .*pip install 'kmixer\[hub\]'"):
        resolve_start("mixer-b16")


@pytest.mark.whole
def test_a_fine_tuning_records_what_it_started_from(tiny, image_folder, tmp_path):
    from tiny_settings import tiny_settings

    settings = kmixer.build_settings(
        tiny_settings(image_folder, training={"epochs": 1}, data={"channels": 3}),
        resolve_start("someone/tiny").start_settings(),
    )
    run = kmixer.train(settings, root=tmp_path)
    assert run.info["start"]["name"] == run.settings.finetune.run == f"someone/tiny@{tiny[1]}"
    assert run.info["start"]["sha256"] == run.settings.finetune.sha256


def test_the_lies_of_a_hub_are_counted(saw, passed):
    lies = sum(map(passed, (
        test_a_hub_cannot_name_files_elsewhere, test_a_hub_cannot_send_without_end,
        test_a_hub_that_answers_something_else, test_a_listing_without_end_is_not_read,
        test_weights_of_another_checksum_are_refused, test_what_is_no_mixer_is_refused_in_one_line,
        test_arrays_that_are_not_one_models_are_refused, test_what_is_too_large_is_not_fetched,
    )))  # fmt: skip
    saw("hub", f"{lies} answers and files refused in one line, nothing written elsewhere")
