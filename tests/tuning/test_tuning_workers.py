"""Many workers at one search: processes of one machine, KerasTuner's chief, Optuna's storages."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuning_search import read_trials, tiny_search

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals"),
]
WORKERS, TRIALS = 4, 12


def _begin(words, folder, log, **environment):
    with (folder / log).open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "kmixer_cli", *words], cwd=folder, stdout=file,
            stderr=subprocess.STDOUT, env=os.environ | environment,
        )  # fmt: skip


def _finished(folder, count):
    rows = read_trials(folder / "saved_models" / "halves-tune")
    finished = [row for row in rows if row["state"] == "finished"]
    assert len(finished) == count, rows
    assert len({row["optimizer.learning_rate"] for row in finished}) == count
    return finished


def test_two_workers_of_one_command(kmixer_cli, image_folder, tmp_path):
    words = tiny_search(image_folder, "--trials", 4, "--workers", 2)
    done = kmixer_cli(*words, cwd=tmp_path, timeout=400)
    assert done.returncode == 0, done.stderr
    _finished(tmp_path, 4)


def test_chief_and_two_workers_of_keras_tuner(image_folder, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = tiny_search(image_folder, "--trials", 4)
    chief = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    processes = [
        _begin(
            [*words, "--role", "worker" if number else "chief"], tmp_path, f"{number}.log",
            **chief, KERASTUNER_TUNER_ID=f"worker{number}" if number else "chief",
        )
        for number in range(3)
    ]  # fmt: skip
    for number, process in enumerate(processes):
        assert process.wait(400) == 0, (tmp_path / f"{number}.log").read_text()
    _finished(tmp_path, 4)


@pytest.fixture
def postgresql(tmp_path):
    """A PostgreSQL of its own on loopback, as Debian's package brings it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        assert not os.environ.get("KMIXER_POSTGRESQL"), "PostgreSQL is required"
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    pytest.importorskip("psycopg")
    folder = Path("/tmp") / f"kmixer-postgresql-{os.getpid()}"
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def run(program, *words):
        subprocess.run([*as_user, programs[-1].with_name(program), *words], check=True, cwd="/tmp",
                       stdout=subprocess.DEVNULL)  # fmt: skip

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run("initdb", "-D", folder, "-A", "trust", "-U", "postgres")
    options = f"-p {port} -k {folder} -h 127.0.0.1"
    run("pg_ctl", "-D", folder, "-o", options, "-l", folder / "log", "-w", "start")
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    run("pg_ctl", "-D", folder, "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", ["file", "postgresql"])
def test_a_worker_is_killed_and_every_trial_finishes_once(image_folder, tmp_path, kind, request):
    pytest.importorskip("optuna")
    storage = tmp_path / "study.jsonl" if kind == "file" else request.getfixturevalue("postgresql")
    options = ["--engine", "optuna", "--storage", storage, "--trials", TRIALS]
    words = tiny_search(image_folder, *options)
    processes = [_begin(words, tmp_path, f"{number}.log") for number in range(WORKERS)]
    trials = tmp_path / "saved_models" / "halves-tune" / "trials"
    deadline = time.monotonic() + 300
    while len(list(trials.glob("trial-*"))) < WORKERS and time.monotonic() < deadline:
        time.sleep(0.2)  # until each worker has started a trial
    processes[0].send_signal(signal.SIGKILL)
    processes[0].wait()
    for number, process in enumerate(processes[1:], 1):
        assert process.wait(500) == 0, (tmp_path / f"{number}.log").read_text()
    _finished(tmp_path, TRIALS)


def test_a_storage_that_cannot_be_reached_is_one_line(run_command, image_folder, tmp_path):
    pytest.importorskip("psycopg")
    address = "postgresql://me:secret@127.0.0.1:1/none"
    words = tiny_search(image_folder, "--engine", "optuna", "--storage", address)
    done = run_command(*words, cwd=tmp_path, env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "cannot be opened" in done.stderr and "secret" not in done.stderr
