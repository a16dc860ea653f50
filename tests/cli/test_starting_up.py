"""What a command imports before it does its work."""

import ast
import subprocess
import sys

import pytest

from installed import skip_without

TINY = (
    "--set=data.train_per_class=5", "--set=data.validation_size=20", "--set=data.batch_size=25",
    "--set=model.hidden_dim=8", "--set=training.jit=false", "--epochs=1", "--quiet",
)  # fmt: skip
WATCHED = {"tensorflow", "jax", "torch", "sklearn", "matplotlib", "keras"}


def imported(words, cwd, until="pass"):
    """Run a command; return which of the heavy packages it had imported.

    Args:
        until: code that runs before it, such as one that ends it early.
    """
    code = (
        f"import sys\n{until}\n"
        "from kmixer_cli.main import main\n"
        f"try: main({list(map(str, words))!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print(sorted({WATCHED!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(ast.literal_eval(done.stdout.strip().splitlines()[-1]))


END_BEFORE_TRAINING = (
    "import kmixer.backend as b; start = b.start\n"
    "def end(name): start(name); raise SystemExit\n"
    "b.start = end"
)


@pytest.mark.parametrize(
    ("backend", "needed"),
    [("tensorflow", {"tensorflow"}), ("jax", {"jax"}), ("torch", {"torch"})],
)
def test_a_training_begins_with_its_own_backend_alone(tmp_path, backend, needed):
    skip_without(backend)
    words = ["train", "fmnist", "--backend", backend, *TINY]
    assert imported(words, tmp_path, END_BEFORE_TRAINING) == {"keras", *needed}


@pytest.mark.whole
def test_a_whole_training_on_torch_needs_no_tensorflow(tmp_path):
    skip_without("torch")
    assert "tensorflow" not in imported(["train", "fmnist", "--backend=torch", *TINY], tmp_path)
