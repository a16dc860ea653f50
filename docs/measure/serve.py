"""Measure `kmixer serve` under load on the loopback address; write docs/runs/serve.json.

    python docs/measure/serve.py EXPORT_OR_RUN_FOLDER

`wrk` measures requests/s and latency with 1, 8 and 32 clients; then come 20,000 checked requests, one
in sixteen of them malformed, with the server's memory before and after. Both end by themselves.
"""

import base64
import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from kmixer_cli.subprocesses import export_to_tflite
from PIL import Image

from kmixer.serving.selection import find_artifact

CLIENTS, SECONDS = (1, 8, 32), 10
REQUESTS, CHECKED_CLIENTS, MALFORMED_EVERY = 20_000, 16, 16
MALFORMED = (
    b"{", b"[]", b'{"instances": []}', b'{"instances": [{"b64": "!"}]}', b'{"instances": [[[1], [2, 3]]]}',
    b'{"instances": [{"b64": "aGFsbG8="}]}', b"\xff\xfe\x00", b'{"instances": [NaN]}',
)  # fmt: skip


class Server:
    """`kmixer serve` as a process of its own, on a free port of the loopback address."""

    def __init__(self, folder, *options):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kmixer_cli", "serve", str(folder), "--port", "0", *options],
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        for line in self.process.stdout:
            if line.startswith("REST"):
                self.port, self.path = re.search(r":(\d+)(/v1\S+)", line).groups()
            if line.startswith("Ctrl-C"):
                break

    @property
    def megabytes(self):
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.communicate(timeout=30)


def request_bodies(artifact, count=64):
    """Return `(request body, expected probabilities)` of random images, half of them in base64."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, *artifact.image_shape), dtype=np.uint8)
    expected = artifact.open()[0](images)
    return [
        (json.dumps({"instances": [_instance(image, index)]}).encode(), answer)
        for index, (image, answer) in enumerate(zip(images, expected, strict=True))
    ]


def _instance(image, index):
    if index % 2:
        return image.tolist()
    file = BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return {"b64": base64.b64encode(file.getvalue()).decode()}


def check_answers(server, bodies, requests=REQUESTS):
    """Send requests, some malformed, and check every answer; return counts and memory.

    Args:
        server: a running `Server`.
        bodies: see `request_bodies`.
        requests: their number.
    """
    counts, lock, local, connections = Counter(), threading.Lock(), threading.local(), []

    def connect():
        local.connection = http.client.HTTPConnection("127.0.0.1", int(server.port), timeout=60)
        connections.append(local.connection)

    def send(number):
        body, expected = _request(number, bodies)
        local.connection.request("POST", server.path, body)
        answer = local.connection.getresponse()
        content = json.loads(answer.read())
        with lock:
            counts[_outcome(answer.status, content, expected)] += 1

    with ThreadPoolExecutor(CHECKED_CLIENTS, initializer=connect) as pool:
        list(pool.map(send, range(requests // 10)))
        before = server.megabytes
        list(pool.map(send, range(requests // 10, requests)))
    for connection in connections:
        connection.close()
    return {"requests": requests, "counts": dict(counts), "megabytes_after_a_tenth": round(before, 1),
            "megabytes_at_the_end": round(server.megabytes, 1)}  # fmt: skip


def _request(number, bodies):
    """Return the body of a request and the answer to expect, None where it is malformed."""
    if number % MALFORMED_EVERY == 0:
        return MALFORMED[number // MALFORMED_EVERY % len(MALFORMED)], None
    return bodies[number % len(bodies)]


def _outcome(status, content, expected):
    """Return the name under which an answer is counted."""
    if status == 503:
        return "busy (503)"
    if expected is None:
        return "malformed, refused (400)" if status == 400 and "error" in content else "wrong"
    if status == 200 and np.allclose(content["predictions"], [expected], atol=1e-5):
        return "right (200)"
    return "wrong"


def measure_load(server, body, seconds=SECONDS):
    """Return requests/s and latency percentiles by `wrk`, a row for each number of clients."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file, script = Path(folder) / "body.json", Path(folder) / "post.lua"
        file.write_bytes(body)
        script.write_text(
            f'local file = io.open("{file}", "rb")\n'
            'wrk.method, wrk.body = "POST", file:read("*all")\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
        )
        address = f"http://127.0.0.1:{server.port}{server.path}"
        for clients in CLIENTS:
            done = subprocess.run(
                ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", str(script), address],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            rows.append(_read_wrk(done.stdout) | {"clients": clients})
    return rows


def _read_wrk(text):
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}

    def milliseconds(percent):
        value, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text).groups()
        return round(float(value) * units[unit], 2)

    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "requests_per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "p50_milliseconds": milliseconds(50),
        "p99_milliseconds": milliseconds(99),
        "other_than_200": int(errors.group(1)) if errors else 0,
    }


def main(folder):
    """Measure the export of a folder and write docs/runs/serve.json."""
    artifact = find_artifact(Path(folder), export_to_tflite)
    bodies = request_bodies(artifact)
    with Server(artifact.folder) as server:
        load = measure_load(server, bodies[0][0])
        checked = check_answers(server, bodies)
    manifest = artifact.manifest
    report = {
        "model": manifest["run"]["name"], "format": manifest["format"], "quantize": manifest["quantize"],
        "runtime": manifest["proof"]["runtime"], "device": manifest["proof"]["device"],
        "load": load, "checked": checked,
    }  # fmt: skip
    home = Path(__file__).parent.parent / "runs" / "serve.json"
    home.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
