"""What XLA compiles is kept for the next time, where only the user can write it."""

import os
import subprocess
import sys

import pytest

from installed import skip_without
from kmixer.runs import compiled
from kmixer.runs.run import load_run

pytestmark = pytest.mark.skipif(compiled._key() is None, reason="the processor is not known")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the cache's folder."""
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))
    for name in ("TF_XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "KMIXER_CACHE_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def process(code):
    """Run a process that works in the folder `work` as JAX would; return what it prints."""
    start = (
        "import os, pathlib\nfrom kmixer.runs.compiled import compiled_steps_kept\n"
        "with compiled_steps_kept('jax'):\n"
        "    work = pathlib.Path(os.environ['JAX_COMPILATION_CACHE_DIR'])\n"
    )
    words = [sys.executable, "-c", start + code]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


WRITE = "(work / 'step-cache').write_bytes(b'machine code')"
READ = "print([(p.name, p.read_bytes()) for p in work.iterdir()])"


def test_the_next_process_finds_what_one_has_compiled(cache):
    process(WRITE)
    assert process(READ) == "[('step-cache', b'machine code')]"
    (folder,) = (cache / "compiled").iterdir()  # that of the process is gone
    assert len(list(folder.iterdir())) == 1 and compiled.stored() == [12]


def test_a_damaged_entry_is_removed(cache):
    process(WRITE)
    (entry,) = (cache / "compiled").glob("*/*")
    entry.write_bytes(b"machine cod")
    assert process(READ) == "[]"
    assert not entry.exists()


def test_what_a_killed_process_wrote_is_not_kept(cache):
    process(f"{WRITE}; os._exit(0)")
    assert process(READ) == "[]"
    assert len(list((cache / "compiled").iterdir())) == 1


def prepared(backend):
    """Return the variables that a backend is imported under, beside the usual ones."""
    before = set(os.environ)
    with compiled.compiled_steps_kept(backend):
        return {name: os.environ[name] for name in set(os.environ) - before}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("of", ["compiled", "key"])
def test_nothing_is_kept_where_others_can_write(cache, mode, of):
    process("pass")
    (folder,) = (cache / "compiled").iterdir()
    (folder if of == "key" else folder.parent).chmod(mode)
    assert prepared("jax") == {}


def test_nothing_is_kept_below_a_folder_that_everyone_can_change(cache):
    process("pass")
    cache.chmod(0o777)
    assert prepared("jax") == {}


def test_nothing_is_kept_through_a_link(cache, tmp_path):
    (cache.parent / "elsewhere").mkdir(mode=0o700)
    cache.mkdir()
    (cache / "compiled").symlink_to(cache.parent / "elsewhere")
    assert prepared("jax") == {}


@pytest.mark.parametrize(
    ("backend", "variable", "value"),
    [("jax", "JAX_COMPILATION_CACHE_DIR", "/own"), ("jax", "KMIXER_CACHE_SIZE", "0"),
     ("tensorflow", "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory=/own")],
)  # fmt: skip
def test_the_users_own_wish_stays(cache, monkeypatch, backend, variable, value):
    monkeypatch.setenv(variable, value)
    assert prepared(backend) == {}
    assert os.environ[variable] == value


def test_torch_compiles_nothing(cache):
    assert prepared("torch") == {}


def test_flags_of_the_user_go_with_it_and_those_of_a_parent_process_do_not(cache, monkeypatch):
    parent = f"{compiled.TENSORFLOW_FLAG}/home/.cache/kmixer/compiled/.0123.0123456789abcdef.tmp"
    monkeypatch.setenv("TF_XLA_FLAGS", f"--tf_xla_auto_jit=1 {parent}")
    with compiled.compiled_steps_kept("tensorflow"):
        flag, folder = os.environ["TF_XLA_FLAGS"].split()
    assert flag == "--tf_xla_auto_jit=1" and str(cache) in folder and parent != folder


def test_the_oldest_entries_go_first(cache, monkeypatch):
    process(WRITE)
    (entry,) = (cache / "compiled").glob("*/*")
    other = entry.with_name("newer")
    other.write_bytes(b"machine code")
    os.utime(entry, (1, 1))
    monkeypatch.setattr(compiled, "LIMIT", 20)
    prepared("jax")
    assert not entry.exists() and "newer" not in compiled.stored()


def test_clear_removes_all(cache):
    process(WRITE)
    assert compiled.clear() == [12] and compiled.stored() == []


TINY = (
    "--set=data.train_per_class=5", "--set=data.validation_size=20", "--set=data.batch_size=25",
    "--set=model.hidden_dim=8", "--blocks=1", "--epochs=2", "--jit", "--quiet",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_training_on_what_was_kept_is_the_same_to_the_bit(cache, tmp_path, backend):
    skip_without(backend)

    def train(name):
        words = ["-m", "kmixer_cli", "train", "fmnist", "--backend", backend, *TINY]
        words += ["--out", str(tmp_path / name)]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
        assert not done.stderr
        return load_run(tmp_path / name).metrics["content_sha256"]["model.keras"]

    first = train("first")
    kept = sorted((cache / "compiled").glob("*/*"))
    assert kept and train("second") == first
    assert sorted((cache / "compiled").glob("*/*")) == kept  # nothing was compiled anew
