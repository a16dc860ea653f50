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

# The packages, and the two modules beside them; each rank may import from those above it in this
# list only, which is the order in which data flows.
RANKS = [
    {"errors"},
    {"options"},
    {"augment", "backend", "config", "files", "layers", "page", "processes"},
    {"data", "models"},
    {"runs"},
    {"evaluation"},
    {"training", "exporting"},
    {"tuning", "serving"},
    {"api"},
    {"cli"},
]
LIBRARY_NAMES = set().union(*RANKS) - {"cli"}


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


def rank(name):
    return next(level for level, names in enumerate(RANKS) if name in names)


def home(path):
    return path.relative_to(ROOT / "kmixer").parts[0].removesuffix(".py")


def test_the_ranks_name_all_that_lies_in_the_library():
    paths = [path for path in (ROOT / "kmixer").iterdir() if path.name != "py.typed"]
    entries = {path.stem for path in paths if not path.stem.startswith("__")}
    assert entries == LIBRARY_NAMES


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_imports_point_downwards_and_never_to_the_cli(path):
    names = imports(path)
    assert not any(re.match(r"(typer|click|kmixer_cli|cli)\b", name) for name in names)
    if path == ROOT / "kmixer" / "__init__.py":
        return
    for name in names:
        target = name.split(".")[1] if name.startswith("kmixer.") else None
        if target in LIBRARY_NAMES and target != home(path):
            assert rank(target) < rank(home(path)), f"{path.name} imports {name}"


def test_the_library_never_starts_the_command_line():
    for path in LIBRARY:
        assert "kmixer_cli" not in path.read_text().replace("kmixer_cli_", ""), path


@pytest.mark.parametrize("path", [p for p in LIBRARY if home(p) in ("layers", "models")], ids=str)
def test_layers_and_models_know_neither_settings_nor_tensorflow(path):
    names = imports(path)
    if path.name == "factory.py":
        names -= {"kmixer.config", "kmixer.config.Settings"}  # for types only
    assert not any(re.match(r"tensorflow|kmixer\.config", name) for name in names)


LIGHT = (
    "config/*", "files/*", "errors", "options", "backend", "data/image_files", "models/published_weights",
    "models/variants", "models/weight_names", "runs/inference", "runs/published_settings", "runs/resumable", "runs/run",
    "runs/starts/*",
)  # fmt: skip


@pytest.mark.parametrize("name", LIGHT)
def test_what_comes_before_keras_imports_no_keras_at_the_top(name):
    for path in (ROOT / "kmixer").glob(f"{name}.py"):
        tops = ast.parse(path.read_text()).body
        for node in [node for node in tops if isinstance(node, ast.Import | ast.ImportFrom)]:
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(n.startswith(("keras", "tensorflow")) for n in names), path


def test_the_packages_that_the_command_line_begins_with_hold_a_docstring_only():
    for name in ("runs", "training", "evaluation", "exporting", "serving", "files"):
        body = ast.parse((ROOT / "kmixer" / name / "__init__.py").read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), name


@pytest.mark.parametrize("path", CLI, ids=lambda path: path.name)
def test_the_command_line_imports_only_light_modules_at_the_top(path):
    if path.name.endswith("progress.py"):  # imported inside a command, after the backend is chosen
        return
    heavy = r"(keras|tensorflow|numpy|pydantic|yaml|rich|matplotlib|kmixer)\b"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            assert not any(re.match(heavy, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module == "kmixer.options" or not re.match(heavy, node.module)


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
