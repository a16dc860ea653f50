"""The server: a socket that listens, and the application on it."""

import socket
from contextlib import contextmanager

from ..errors import RunError

SECONDS_TO_FINISH = 10  # what is being answered when the server is told to stop


@contextmanager
def listening(host, port):
    """Yield a socket that listens, and its address as one types it.

    Raises:
        RunError: the port is taken, or the host is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio lets small answers go at once instead of after 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
            opened.listen(2048)
        except OSError as error:
            raise RunError(
                f"{host}:{port}: {error.strerror}; choose another --port or --host"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        yield opened, f"http://{shown}:{opened.getsockname()[1]}"


def run(app, listener):
    """Serve until SIGINT or SIGTERM; what is being answered is answered."""
    import uvicorn

    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SECONDS_TO_FINISH,
        server_header=False,
    )  # fmt: skip
    uvicorn.Server(settings).run(sockets=[listener])
