"""Full disks: nothing half-written gets a final name, and what was whole can be resumed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

HARNESS = Path(__file__).parent.parent / "support" / "failing_writes.py"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and fork")


def fail(tiny, folder, writes):
    """Return the report of a harness whose writes of these numbers fail."""
    config = folder / "settings.yaml"
    training = tiny["training"] | {"early_stopping": {"patience": 9}}
    model = tiny["model"] | {"blocks": 1}
    config.write_text(yaml.safe_dump(tiny | {"training": training, "model": model}))
    job = {
        "data": tiny["data"]["name"],
        "config": str(config),
        "root": str(folder),
        "writes": writes,
    }
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, str(HARNESS), str(folder / "job.json")], capture_output=True, text=True,
        timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_write_that_fails_costs_no_more_than_itself(tiny, tmp_path):
    seen = fail(tiny, tmp_path, [2, 15, 40])
    assert seen["problems"] == [] and seen["writes"] > 40


@pytest.mark.torture
def test_every_write_may_fail(tiny, tmp_path, saw):
    seen = fail(tiny, tmp_path, None)
    assert seen["problems"] == [] and seen["tried"] == seen["writes"] > 40
    saw("writes", f"{seen['tried']} of {seen['writes']} writes of a run failed, one at a time")


def trains(kmixer_cli, image_folder, folder, *words, **options):
    sizes = ("--set", "model.patch_size=4", "--set", "data.validation_size=20")
    return kmixer_cli(
        "train", image_folder, *sizes, "--batch-size", 16, "--epochs", 2, "--no-jit", "--quiet",
        "--out", folder, *words, **options,
    )  # fmt: skip


def check(folder, done):
    """The command failed in one line, and what lies there is whole."""
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "cannot be" in done.stderr and str(folder) in done.stderr
    assert not list(folder.glob(".*"))
    for path in (*folder.glob("*.npz"), *folder.glob("*.keras")):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 500, 20_000, 200_000])
def test_files_that_may_not_grow(kmixer_cli, image_folder, tmp_path, most):
    folder = tmp_path / "run"
    check(folder, trains(kmixer_cli, image_folder, folder, limits=[("FSIZE", most)]))
    if folder.exists():
        assert trains(kmixer_cli, image_folder, folder, "--resume").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 300, 2000])
def test_a_small_disk_that_fills(image_folder, tmp_path, kilobytes):
    disk, unshare = tmp_path / "disk", shutil.which("unshare")
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={kilobytes}k none {disk}"
    if not unshare or subprocess.run([unshare, "-m", "sh", "-c", mount], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")

    def command(*words, **options):
        line = [sys.executable, "-m", "kmixer_cli", *map(str, words)]
        script = f'{mount} && "$@"; code=$?; cp -r {disk} {tmp_path / "after"}; exit $code'
        return subprocess.run(
            [unshare, "-m", "sh", "-c", script, "sh", *line], capture_output=True, text=True,
            check=False, env=os.environ | {"TMPDIR": str(tmp_path)},
        )  # fmt: skip

    done = trains(command, image_folder, disk / "run")
    done.stderr = done.stderr.replace(str(disk / "run"), str(tmp_path / "after" / "run"))
    check(tmp_path / "after" / "run", done)
