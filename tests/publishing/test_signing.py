"""Runs and exports are signed with one's own key; what is not as it was signed is never opened."""

import base64
import json
import shutil
import stat
from dataclasses import replace

import keras
import pytest

import kmixer
from in_process_export import export, without_processes
from kmixer.errors import KmixerWarning, RunError, SettingsError
from kmixer.exporting import formats
from kmixer.exporting.artifact import load_artifact
from kmixer.exporting.reference import Reference
from kmixer.exporting.signed import check_signed
from kmixer.files import keys
from kmixer.files.signature import SIGNATURE_FILE
from kmixer.serving.selection import find_artifact

pytest.importorskip("model_signing.signing", reason="the extra sign is not installed")
if keras.backend.backend() != "tensorflow":
    pytest.skip("one backend is enough: signatures are over files", allow_module_level=True)


@pytest.fixture(scope="module")
def place(trained_run, tflite_export, tmp_path_factory):
    """A folder of `run`, with an export, and of two pairs of keys, `mine` and `other`."""
    folder = tmp_path_factory.mktemp("signed")
    shutil.copytree(trained_run.folder, folder / "run")
    shutil.rmtree(folder / "run" / "export", ignore_errors=True)
    shutil.copytree(tflite_export.folder, folder / "run" / "export" / "tflite")
    for name in ("mine", "other"):
        keys.write_new_key(folder / f"{name}.pem", None)
    return folder


@pytest.fixture(scope="module")
def public(place):
    return keys.read_public_key(place / "mine.pub")


@pytest.fixture
def signed(place, tmp_path, run_command):
    """A copy of the run and its export, both signed with `mine`."""
    run = tmp_path / "run"
    shutil.copytree(place / "run", run)
    done = run_command("sign", run, run / "export" / "tflite", "--key", place / "mine.pem")
    assert done.returncode == 0, done.stderr
    return run


def verify(run_command, *words):
    """Run `kmixer verify`; return its exit code, the results by what was checked, and its stderr."""
    with without_processes():
        done = run_command("verify", *words, "--json")
    checks = json.loads(done.stdout)["checks"] if done.stdout else []
    return done.returncode, {c["what"]: c["result"] for c in checks}, done.stderr, checks


def test_what_is_signed_is_verified_and_its_proof_run_again(signed, place, run_command):
    key = ("--key", place / "mine.pub")
    whole = dict.fromkeys(("signature", "checksums", "proof"), "ok")
    code, results, _, checks = verify(run_command, signed, *key)
    assert (code, results) == (0, whole), checks
    assert "accuracy 100.00 %, recorded 100.00 %" in checks[2]["detail"]
    assert checks[0]["detail"].endswith("config.yaml, labels.txt, metrics.json, model.keras")
    code, results, _, checks = verify(run_command, signed / "export" / "tflite", *key)
    assert (code, results) == (0, whole), checks
    assert "from the recorded answer" in checks[2]["detail"]
    assert "from the run's Keras model" in checks[2]["detail"]


def test_without_a_key_or_a_run_the_rest_is_checked(signed, tmp_path, run_command):
    alone = shutil.move(signed / "export" / "tflite", tmp_path / "alone")
    code, results, _, checks = verify(run_command, alone)
    assert (code, results["signature"], results["proof"]) == (0, "not checked", "ok")
    assert "signed by the key" in checks[0]["detail"]
    assert "Keras" not in checks[2]["detail"]


def test_an_export_that_is_code_is_run_of_a_named_signer_alone(
    signed, place, run_command, monkeypatch
):
    code = replace(formats.TFLITE, serving_rank=None)  # as if opening it ran its code
    monkeypatch.setitem(formats.FORMATS, "tflite", code)
    export = signed / "export" / "tflite"
    named = verify(run_command, export, "--key", place / "mine.pub")
    assert named[:2] == (0, {"signature": "ok", "checksums": "ok", "proof": "ok"})
    unnamed = verify(run_command, export)
    assert unnamed[1] == {"signature": "not checked", "checksums": "ok", "proof": "not checked"}
    with pytest.raises(RunError, match="opens no exports of format tflite"):
        load_artifact(export).open()


def change(folder):
    content = bytearray((folder / "model.tflite").read_bytes())
    content[-1] ^= 1
    (folder / "model.tflite").write_bytes(content)


def change_with_its_checksum(folder):
    """Do as somebody does who knows of manifests and has no key."""
    from kmixer.files.checksums import checksum

    change(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.tflite"] = checksum(folder / "model.tflite")
    (folder / "manifest.json").write_text(json.dumps(manifest))


def link(folder):
    (folder / "model.tflite").rename(folder.parent / "model.tflite")
    (folder / "model.tflite").symlink_to(folder.parent / "model.tflite")


def rewrite(folder):
    """Change what the signature says to what the files are now."""
    from hashlib import sha256

    change_with_its_checksum(folder)
    bundle = json.loads((folder / SIGNATURE_FILE).read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    for file in statement["predicate"]["resources"]:
        file["digest"] = sha256((folder / file["name"]).read_bytes()).hexdigest()
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    bundle["dsseEnvelope"]["payload"] = payload
    (folder / SIGNATURE_FILE).write_text(json.dumps(bundle))


CHANGES = {
    "a changed file": (change, "SHA-256 is not the manifest's"),
    "a changed file and manifest": (change_with_its_checksum, "changed since it was signed"),
    "a changed signature": (rewrite, "is not valid"),
    "an added note": (lambda f: (f / "note.txt").write_text("x"), "is not listed"),
    "an added program": (lambda f: (f / "x.so").write_text("x"), "is not listed"),
    "a removed file": (lambda f: (f / "example.png").unlink(), "No such file"),
    "a link": (link, "a link, expected the file itself"),
    "another folder's": (
        lambda f: shutil.copy(f.parent.parent / SIGNATURE_FILE, f), "not signed"
    ),
    "no signature": (lambda f: (f / SIGNATURE_FILE).unlink(), "holds no model.sig"),
    "no JSON": (lambda f: (f / SIGNATURE_FILE).write_text("x"), "is no signature"),
    "a folder": (
        lambda f: ((f / SIGNATURE_FILE).unlink(), (f / SIGNATURE_FILE).mkdir()), "cannot be read"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_not_as_it_was_signed_is_neither_opened_nor_served(
    signed, place, public, run_command, kind
):
    act, message = CHANGES[kind]
    act(folder := signed / "export" / "tflite")
    words = ("verify", folder, "--key", place / "mine.pub")
    done = run_command(*words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr
    assert "proof      ok" not in done.stdout
    for path in (folder, signed):
        with pytest.raises(RunError, match=message):
            find_artifact(path, pytest.fail, public)


def test_a_signature_that_leaves_a_file_out_is_none(signed, place, public):
    """As its owner may have made for another purpose with the library's own command."""
    from model_signing import hashing, signing

    folder = signed / "export" / "tflite"
    ignoring = hashing.Config().set_ignored_paths(paths=["model.tflite", SIGNATURE_FILE])
    signer = signing.Config().use_elliptic_key_signer(private_key=place / "mine.pem")
    signer.set_hashing_config(ignoring).sign(folder, folder / SIGNATURE_FILE)
    change_with_its_checksum(folder)
    with pytest.raises(RunError, match=r"changed since it was signed|model\.tflite: not signed"):
        check_signed(load_artifact(folder), public)


def test_the_librarys_own_check_reads_our_signature(signed, place):
    from model_signing import hashing, verifying

    folder = signed / "export" / "tflite"
    checker = verifying.Config().use_elliptic_key_verifier(public_key=place / "mine.pub")
    ignoring = hashing.Config().set_ignored_paths(paths=[SIGNATURE_FILE])
    checker.set_hashing_config(ignoring).verify(folder, folder / SIGNATURE_FILE)


def test_what_is_served_is_what_was_checked(signed, public):
    folder = signed / "export" / "tflite"
    artifact = find_artifact(signed, pytest.fail, public)
    change_with_its_checksum(folder)
    with pytest.raises(RunError, match="SHA-256 is not the manifest's"):
        artifact.open()
    with pytest.raises(RunError, match=r"manifest\.json changed while it was read"):
        check_signed(artifact, public)


def test_of_a_runs_exports_the_preferred_that_is_signed_is_served(signed, public):
    exports = signed / "export"
    unsigned = exports / "a"
    shutil.copytree(exports / "tflite", unsigned)
    (unsigned / SIGNATURE_FILE).unlink()
    assert find_artifact(signed, pytest.fail).folder == unsigned
    assert find_artifact(signed, pytest.fail, public).folder == exports / "tflite"
    shutil.rmtree(exports)
    with pytest.raises(RunError, match="no export that could be signed"):
        find_artifact(signed, pytest.fail, public)


def test_all_kinds_are_counted(saw, passed):
    refused = passed(test_what_is_not_as_it_was_signed_is_neither_opened_nor_served)
    passed(test_what_is_served_is_what_was_checked)
    saw("signatures", f"{refused} of {len(CHANGES)} refused in one line, by verify and by serve")


def test_another_key_is_refused_by_every_command(signed, place, run_command):
    folder = signed / "export" / "tflite"
    for words in (
        ("verify", folder, "--key"), ("verify", signed, "--key"),
        ("serve", signed, "--port", "0", "--require-signature"),
    ):  # fmt: skip
        done = run_command(*words, place / "other.pub")
        assert done.returncode == 1 and "is of the key" in done.stderr


def claim_more(run):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["best"]["test"]["accuracy"] = 0.5
    (run / "metrics.json").write_text(json.dumps(metrics))


RUN_CHANGES = {
    "a figure": (claim_more, "signature", "metrics.json: changed since"),
    "the history": (
        lambda run: (run / "history.csv").write_text("epoch,loss\n1,2\n"), "checksums", "history.csv"
    ),
    "no metrics": (lambda run: (run / "metrics.json").unlink(), "signature", "not there"),
    "a link": (
        lambda run: ((run / "model.keras").rename(run / "x"), (run / "model.keras").symlink_to("x")),
        "checksums", "a link",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", RUN_CHANGES)
def test_a_run_that_is_not_as_it_was_signed_fails(signed, place, run_command, kind):
    act, where, message = RUN_CHANGES[kind]
    act(signed)
    code, results, stderr, _ = verify(run_command, signed, "--key", place / "mine.pub")
    assert (code, results[where]) == (1, "failed") and message in stderr
    assert results["proof"] == "not checked"


def test_a_run_that_claims_more_than_it_measures_fails(signed, run_command):
    claim_more(signed)
    code, results, stderr, _ = verify(run_command, signed)
    assert (code, results["proof"]) == (1, "failed"), results
    assert "accuracy 100.00 %, recorded 50.00 %" in stderr


@pytest.mark.slow
def test_a_run_that_goes_on_and_an_export_that_is_replaced_lose_their_signatures(
    signed, monkeypatch
):
    history = (signed / "history.csv").read_text().splitlines()
    (signed / "history.csv").write_text("\n".join(history[:-1]) + "\n")
    with pytest.warns(KmixerWarning, match="its signature was of the files before"):
        kmixer.resume(kmixer.load_run(signed), verbose=0)
    assert not (signed / SIGNATURE_FILE).exists()
    told = []
    monkeypatch.setattr("kmixer.exporting.export.warn_of_loss", told.append)
    replaced = export(Reference(kmixer.load_run(signed)), "tflite")
    assert not (replaced.folder / SIGNATURE_FILE).exists()
    assert told == [signed / "export" / "tflite"]


def test_a_new_key_is_its_owners_and_is_never_overwritten(tmp_path, run_command):
    path = tmp_path / "k.pem"
    env = {"KMIXER_KEY_PASSWORD": "secret"}
    assert run_command("sign", "--new-key", path, env=env).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert b"ENCRYPTED" in before
    done = run_command("sign", "--new-key", path, env=env)
    assert done.returncode == 2 and "never overwritten" in done.stderr
    assert path.read_bytes() == before
    asked = [
        keys.read_private_key(path, lambda: "secret").public,
        keys.read_public_key(tmp_path / "k.pub"),
    ]
    assert asked[0] == asked[1]
    for password, message in (
        (None, "KMIXER_KEY_PASSWORD"),
        ("", "KMIXER_KEY_PASSWORD"),
        ("no", "password"),
    ):
        with pytest.raises(SettingsError, match=message):
            keys.read_private_key(path, lambda password=password: password)


def other_kinds():
    """Return PEM files of keys that no signature is made with."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    def pem(key):
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )  # fmt: skip

    return {"ed25519": pem(ed25519.Ed25519PrivateKey.generate()),
            "secp256k1": pem(ec.generate_private_key(ec.SECP256K1()))}  # fmt: skip


def test_what_is_no_key_to_sign_with_is_one_line(place, tmp_path, run_command):
    for name, content in other_kinds().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "text").write_text("x")
    (tmp_path / "cut").write_bytes((place / "mine.pem").read_bytes()[:90])
    files = [
        place / "mine.pub",
        tmp_path,
        *(tmp_path / name for name in ("ed25519", "secp256k1", "text", "cut", "gone")),
    ]
    for file in files:
        done = run_command("sign", place / "run", "--key", file)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert str(file) in done.stderr
    done = run_command("verify", place / "run", "--key", place / "mine.pem")
    assert done.returncode == 2 and "expected the public one" in done.stderr
    assert not (place / "run" / SIGNATURE_FILE).exists()


def test_what_cannot_be_signed_is_one_line(signed, place, tmp_path, run_command):
    (signed / SIGNATURE_FILE).unlink()
    (signed / "metrics.json").unlink()
    change(signed / "export" / "tflite")
    for folder, message in (
        (signed, "not finished"), (signed / "export" / "tflite", "SHA-256"),
        (tmp_path, "neither a run nor an export"),
    ):  # fmt: skip
        done = run_command("sign", folder, "--key", place / "mine.pem")
        assert done.returncode == 1 and message in done.stderr
    assert not (signed / SIGNATURE_FILE).exists()
    assert run_command("sign", signed).returncode == 2
