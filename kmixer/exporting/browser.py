"""Chromium without a window and without a network, driven over its DevTools protocol.

The protocol's messages go through two pipes, JSON with a zero byte behind each, so that no port is
opened: https://chromedevtools.github.io/devtools-protocol/
"""

import json
import os
import select
import tempfile
import time
import weakref
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

from .. import processes
from ..errors import process_failure

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 600.0  # that an answer may take: large models are slow in a page
WITHIN = ("data", "blob")  # addresses of what a page itself holds
OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
    "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
STDERR = "stderr.txt"  # in its profile
LEAST_DESCRIPTOR = 10  # of our ends' copies: the browser reads from 3 and writes to 4


def find_browser() -> str | None:
    """Return the path of Chromium: `CHROME`, or one that `PATH` holds; None: there is none."""
    if os.name != "posix":  # where a process cannot be given two more pipes
        return None
    return processes.find_program(*filter(None, [os.environ.get("CHROME")]), *NAMES)


def lacking_browser() -> str | None:
    """Return what is missing, in words, where there is no browser; None where there is one."""
    if find_browser():
        return None
    return f"Chromium or Chrome: none of {', '.join(NAMES)} is found, and CHROME names no other"


def has_sandbox() -> bool:
    """Return whether a browser that this user starts keeps its pages in a sandbox."""
    return os.geteuid() != 0  # root's refuses to start with one


class Chromium:
    """A browser, until nothing refers to it any more.

    Args:
        program: its path.
        seconds: that it may take for an answer.

    Raises:
        RuntimeError: by each method: it has ended, or takes too long.

    Attributes:
        version: such as `"Chromium 150.0.7871.181"`.
        requested: the addresses outside of themselves that its pages asked for, the page's own
            file included.
    """

    def __init__(self, program: str, seconds: float = SECONDS) -> None:
        self.requested: set[str] = set()
        self._numbers, self._received, self._seconds = count(1), b"", seconds
        profile = tempfile.TemporaryDirectory(prefix="kmixer-", ignore_cleanup_errors=True)
        self._profile = profile.name
        self._process, self._input, self._output = _start(program, profile.name)
        weakref.finalize(self, _end, self._process, self._input, self._output, profile)
        product = self._call("Browser.getVersion")["product"]
        self.version = f"Chromium {product.partition('/')[2]}"

    def open(self, address: str) -> str:
        """Open a page, and return its session once it is loaded."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Network.enable", session)
        self._call(
            "Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=True,
            flatten=True,
        )  # fmt: skip
        self._call("Page.navigate", session, url=address)
        loaded = "document.readyState === 'complete' || new Promise(done => {onload = done})"
        self.evaluate(session, f"Promise.resolve({loaded}).then(() => true)")
        return str(session)

    def evaluate(self, session: str, expression: str) -> Any:
        """Return what a page's expression, or the promise that it is, gives.

        Raises:
            ValueError: it throws an error.
        """
        done = self._call(
            "Runtime.evaluate", session, expression=expression, awaitPromise=True,
            returnByValue=True,
        )  # fmt: skip
        if problem := done.get("exceptionDetails"):
            thrown = problem.get("exception", {}).get("description") or problem["text"]
            raise ValueError(thrown.splitlines()[0][:300])
        return done["result"].get("value")

    def _call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        number = self._send(method, session, **parameters)
        for message in self._messages():
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)
        said = Path(self._profile, STDERR).read_text(encoding="utf-8", errors="replace")
        why = process_failure(self._process.wait(), said)
        raise RuntimeError(f"the browser has ended: {why}")

    def _send(self, method: str, session: str = "", **parameters: Any) -> int:
        message = {"id": next(self._numbers), "method": method, "params": parameters}
        content = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        try:
            while content:
                content = content[os.write(self._input, content) :]
        except BrokenPipeError:
            pass  # reading tells that it has ended
        return int(str(message["id"]))

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Yield what it sends, until it ends."""
        until = time.monotonic() + self._seconds
        while True:
            whole, found, rest = self._received.partition(b"\0")
            if found:
                self._received = rest
                yield json.loads(whole)
                continue
            if not select.select([self._output], [], [], max(until - time.monotonic(), 0))[0]:
                raise RuntimeError(f"the browser gave no answer in {self._seconds:.0f} s")
            if not (received := os.read(self._output, 2**20)):
                return
            self._received += received

    def _note(self, message: dict[str, Any]) -> None:
        """Keep what a page or its worker asked for; let a worker begin."""
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if address.partition(":")[0] not in WITHIN:
                self.requested.add(address)
        elif method == "Target.attachedToTarget" and parameters["waitingForDebugger"]:
            self._send("Network.enable", parameters["sessionId"])
            self._send("Runtime.runIfWaitingForDebugger", parameters["sessionId"])
        elif method == "Inspector.targetCrashed":
            raise RuntimeError("the page crashed; was there memory left?")


def _start(program: str, profile: str) -> tuple[Popen[bytes], int, int]:
    """Start a browser; return it, where it reads commands from, and where it writes."""
    theirs_in, ours_out = _pipe()
    ours_in, theirs_out = _pipe()

    def renumber() -> None:
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)

    words = [*OPTIONS, f"--user-data-dir={profile}", *([] if has_sandbox() else ["--no-sandbox"])]
    try:
        with Path(profile, STDERR).open("wb") as stderr:
            process = processes.start_program(
                program, *words, preexec_fn=renumber, pass_fds=(3, 4), stdin=DEVNULL,
                stdout=DEVNULL, stderr=stderr,
            )  # fmt: skip
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    return process, ours_out, ours_in


def _pipe() -> tuple[int, int]:
    """Return a pipe's two ends, neither of which is a descriptor that the browser is to have."""
    import fcntl

    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _end(
    process: Popen[bytes], pipe_in: int, pipe_out: int, profile: "tempfile.TemporaryDirectory[str]"
) -> None:
    """Close the pipes, upon which the browser ends, and remove its profile."""
    os.close(pipe_in)
    os.close(pipe_out)
    try:
        process.wait(5)
    except Exception:  # it hangs
        process.kill()
        process.wait()
    profile.cleanup()
