"""Which cell of backend × format × quantisation works: every one is tried.

    KMIXER_WRITE_SUPPORT=1 pytest -m slow tests/exporting/test_export_support.py

writes the results to kmixer/exporting/support.json, which `kmixer export --list` prints.
"""

import json
import os
from importlib.util import find_spec

import pytest

from kmixer.backend import BACKENDS
from kmixer.config import loading
from kmixer.errors import SettingsError
from kmixer.exporting.formats import FORMATS, QUANTIZATIONS
from kmixer.exporting.support import (
    SUPPORT,
    cell_name,
    find_format,
    missing_modules,
    support,
)

CELLS = [(known, quantize) for known in FORMATS.values() for quantize in known.quantizations]


def test_the_matrix_holds_every_cell_that_the_formats_claim():
    claimed = {cell_name(backend, known, q) for backend in BACKENDS for known, q in CELLS}
    assert set(json.loads(SUPPORT.read_text())) == claimed == set(support())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_what_a_format_cannot_have_is_refused(name, quantize):
    if quantize in FORMATS[name].quantizations:
        return
    with pytest.raises(SettingsError, match=f"{quantize!r} with --format {name}, which has none"):
        find_format(name, quantize)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_cell(backend, tiny, tmp_path, kmixer_cli):
    missing = {m for known in FORMATS.values() for m in missing_modules(known)} | (
        {backend} if find_spec(backend) is None else set()
    )
    missing |= {known.lacks() for known in FORMATS.values()} - {None}
    if missing:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    config = tmp_path / "tiny.yaml"
    tiny["training"]["epochs"], tiny["optimizer"]["learning_rate"] = 6, 0.02
    config.write_text(loading.dump(loading.build_settings(tiny)))
    run = tmp_path / "run"
    done = kmixer_cli(
        "train", tiny["data"]["name"], "--config", config, "--backend", backend, "--out", run
    )
    assert done.returncode == 0, done.stderr
    results = {}
    for known, quantize in CELLS:
        done = kmixer_cli("export", run, "--format", known.name, "--quantize", quantize)
        reason = "ok" if done.returncode == 0 else done.stderr.strip().removeprefix("kmixer: ")
        results[cell_name(backend, known, quantize)] = reason
    if os.environ.get("KMIXER_WRITE_SUPPORT"):
        cells = json.loads(SUPPORT.read_text(encoding="utf-8"))
        SUPPORT.write_text(json.dumps(cells | results, indent=2) + "\n", encoding="utf-8")
    assert results == {
        key: cell for key, cell in support().items() if key.startswith(f"{backend}/")
    }
