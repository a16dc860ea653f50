"""The server: a listening socket, and the application on it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import RunError

SHUTDOWN_SECONDS = 10  # for requests in flight when the server is told to stop


@contextmanager
def listening(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """Yield a listening socket and the address to type.

    Raises:
        RunError: the port is taken, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once instead of after 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)
        except OSError as error:
            raise RunError(
                f"{host}:{port}: {error.strerror}; choose another --port or --host"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        yield listener, f"http://{shown}:{listener.getsockname()[1]}"


def serve(app: Any, listener: socket.socket) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM; requests in flight are answered."""
    import uvicorn

    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
    )  # fmt: skip
    uvicorn.Server(settings).run(sockets=[listener])
