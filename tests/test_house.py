"""What holds the house together: import directions, no stray imports at start, docs that exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LIBRARY = sorted((ROOT / "kmixer").rglob("*.py"))
CLI = sorted((ROOT / "cli").rglob("*.py"))

# Each rank may import from those below it, never from one above.
RANKS = [
    {"errors", "counters", "sampling", "provenance", "quietly", "layouts", "timing"},
    {"atomic", "arrays", "backend", "sizes", "graph_file", "weights_file"},
    {"lock", "published"},
    {
        "artefacts",
        "fresh",
        "signals",
        "metrics",
        "folders",
        "config",
        "datasets",
        "layers",
    },
    {"schema", "models", "augment", "optim", "figures"},
    {"settings_io"},
    {"architecture", "pipeline", "showcase", "diagram", "model_file"},
    {"prediction"},
    {"distribution"},
    {"runs", "catalogue", "feed"},
    {"card", "begun"},
    {"checkpoint", "evaluation", "comparison", "pretrained", "finetuning"},
    {"guards"},
    {"recording"},
    {"callbacks", "sweep", "report", "resolving", "exporting"},
    {"fitting"},
    {"training", "serving"},
    {"rivals", "tuning"},
    {"benchmark"},
]


def imports(path):
    """Return the absolute names of the modules that a file imports, wherever in it."""
    package = list(path.relative_to(ROOT).with_suffix("").parts)[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return found


def rank(module):
    return next(level for level, names in enumerate(RANKS) if module in names)


def home(path):
    parts = path.relative_to(ROOT / "kmixer").parts
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_imports_point_downwards_and_never_to_the_cli(path):
    names = imports(path)
    assert not any(re.match(r"(typer|click|kmixer_cli|cli)\b", name) for name in names)
    if path.parent == ROOT / "kmixer" and path.name == "__init__.py":
        return
    for name in names:
        if match := re.match(r"kmixer\.(\w+)", name):
            target = match.group(1)
            if target != home(path) and any(target in level for level in RANKS):
                assert rank(target) < rank(home(path)), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", [p for p in LIBRARY if home(p) in ("layers", "models")], ids=str)
def test_layers_and_models_know_neither_settings_nor_tensorflow(path):
    assert not any(
        re.match(r"tensorflow|kmixer\.(config|settings_io)", name) for name in imports(path)
    )


def test_config_and_settings_import_no_keras():
    light = ("atomic", "begun", "prediction", "published", "sizes")
    for name in ("config/*", "settings_io", "errors", "backend", *light):
        for path in (ROOT / "kmixer").glob(f"{name}.py"):
            assert not any(n.startswith(("keras", "tensorflow")) for n in imports(path))


@pytest.mark.parametrize("path", CLI, ids=lambda path: path.name)
def test_the_command_line_imports_only_light_modules_at_the_top(path):
    if path.name.endswith("progress.py"):  # imported inside a command, after the backend is chosen
        return
    heavy = r"(keras|tensorflow|numpy|pydantic|yaml|rich|matplotlib|kmixer)\b"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            assert not any(re.match(heavy, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not re.match(heavy, node.module)


def test_help_and_import_load_neither_keras_nor_tensorflow():
    code = (
        "import sys, kmixer, kmixer_cli.main as m\n"
        "try: m.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'keras', 'tensorflow', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    assert not {"keras", "tensorflow", "numpy"} & set(loaded)


def test_nothing_reaches_the_network_at_import_or_help():
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('connects')\n"
        "socket.socket.connect = refuse\n"
        "import kmixer_cli.main as m\n"
        "m.main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "connects" not in done.stdout + done.stderr


def test_public_names_can_be_imported():
    import kmixer

    for name in kmixer.__all__:
        assert getattr(kmixer, name)
    with pytest.raises(AttributeError, match="nonsense"):
        kmixer.nonsense  # noqa: B018
