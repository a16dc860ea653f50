"""Clients that let the server wait keep nobody else from being answered."""

import http.client
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)
pytest.importorskip("fastapi")
pytest.importorskip("resource")  # the clients' descriptors

import slow_clients
from kept_export import Serving, copy_export

HONEST = 16
BODY = json.dumps({"instances": [np.zeros((8, 8), int).tolist()]})


def ask_honestly(port, seconds):
    """Send requests from 16 clients; return the seconds of each, and what failed."""
    end, lock, times, failed = time.monotonic() + seconds, threading.Lock(), [], []

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        mine = []
        while (begin := time.monotonic()) < end:
            try:
                connection.request("POST", "/v1/models/halves:predict", BODY)
                answer = connection.getresponse()
                content = json.load(answer)
                if answer.status != 200 or len(content["predictions"]) != 1:
                    failed.append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))
            mine.append(time.monotonic() - begin)
            if number % 4 == 0:  # some open a connection for each request
                connection.close()
            time.sleep(0.01)
        connection.close()
        with lock:
            times.extend(mine)

    with ThreadPoolExecutor(HONEST) as pool:
        list(pool.map(client, range(HONEST)))
    return times, failed


def attack(server, count):
    """Start the slow clients; return their process once all have connected."""
    process = subprocess.Popen(
        [sys.executable, slow_clients.__file__, str(server.port), str(count)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while int(process.stdout.readline()) < 0.9 * count:
        pass
    return process


def measure(server, count, seconds):
    """Return the quiet p99, the attacked one, what failed, and how many slow ones were open."""
    ask_honestly(server.port, 2)
    quiet, failed = ask_honestly(server.port, seconds)
    attackers = attack(server, count)
    try:
        time.sleep(seconds / 2)  # those that came together are closed together
        attacked, more = ask_honestly(server.port, seconds)
        descriptors = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
    finally:
        attackers.kill()
        attackers.communicate()
    return np.quantile(quiet, 0.99), np.quantile(attacked, 0.99), failed + more, descriptors


@pytest.mark.torture
def test_two_thousand_slow_connections_disturb_no_honest_client(tmp_path, saw):
    folder = copy_export(tmp_path / "export")
    with Serving(folder) as server:
        quiet, attacked, failed, descriptors = measure(server, 2000, 30)
        assert not failed, failed[:5]
        assert descriptors > 1000
        assert attacked <= 3 * quiet
        assert server.log.stat().st_size < 100_000
    saw("slow clients", f"2,000 slow connections beside {HONEST} honest clients: no request failed;"
        f" p99 {1e3 * quiet:.0f} ms without them, {1e3 * attacked:.0f} ms with them")  # fmt: skip


@pytest.mark.whole
def test_many_announced_bodies_make_no_request_fail(tmp_path):
    with Serving(copy_export(tmp_path / "export"), "--queue", 32) as server:
        _, _, failed, _ = measure(server, 100, 1)
    assert not failed, failed[:5]
