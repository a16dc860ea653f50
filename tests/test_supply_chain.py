"""What is installed: bounds that are tested, and a lock file that holds them all, hashed."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements-dev.lock").read_text()
LOCKED = (
    "dev",
    "export",
    "heic",
    "hub",
    "micro",
    "mlflow",
    "sign",
    "serve",
    "tune",
    "docs",
    "jax",
)  # torch's CPU build comes from elsewhere; trackio wants an older Pillow


def direct():
    """Return the requirements that pyproject.toml names, those of the locked extras too."""
    extras = PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *(text for extra in LOCKED for text in extras[extra])]
    return [r for r in map(Requirement, named) if r.name != PROJECT["name"]]


def locked():
    """Return version and hashes by name."""
    entries = re.findall(r"^([\w.-]+)==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", LOCK, re.M)
    return {
        canonicalize_name(name): (version, re.findall(r"--hash=(\S+)", hashes))
        for name, version, hashes in entries
    }


def test_every_extra_is_locked_but_those_that_fit_no_common_lock():
    assert set(PROJECT["optional-dependencies"]) == {*LOCKED, "torch", "trackio"}


@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_the_lock_file_holds_it_within_its_bounds_and_hashed(requirement):
    version, hashes = locked()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)
    assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes)


def test_the_lock_file_holds_names_versions_and_hashes_and_nothing_else():
    assert "://" not in LOCK and "index" not in LOCK
    entry = r"(?:[\w.-]+==\S+(?: ; [^\\\n]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)+"
    assert re.fullmatch(entry, LOCK)
    assert len(locked()) > 100  # what the direct ones need is there too


@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_every_dependency_has_a_lower_bound_and_no_upper_one(requirement):
    assert [specifier.operator for specifier in requirement.specifier] == [">="]
    assert not requirement.url


def test_ci_tests_the_lower_bounds():
    assert "--resolution lowest-direct -e '.[dev,trackio]'" in (ROOT / ".ci" / "run").read_text()
