"""The server: a listening socket, and the application on it."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from ..errors import RunError, SettingsError, file_problem, one_line
from .connections import Connections, Deadlines, most_connections
from .http import HttpConnection
from .logs import FewLines
from .tls import TlsConnection

SHUTDOWN_SECONDS = 10  # for requests in flight when the server is told to stop
BACKLOG = 2048  # of connections that the system holds until they are accepted
ACCEPTED_AT_ONCE = 16  # before those that are too many are closed
SEND_BUFFER = 128 * 1024  # bytes of an answer that the system holds for a client that reads slowly


@contextmanager
def listening(host: str, port: int, secure: bool = False) -> Iterator[tuple[socket.socket, str]]:
    """Yield a listening socket and the address to type, `https` where it is secure.

    Raises:
        SettingsError: the host is empty, which systems take for all addresses.
        RunError: the port is taken, or the host is not an address of this machine.
    """
    if not host.strip():
        raise SettingsError("--host: received nothing, expected an address, such as 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once instead of after 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except (OSError, ValueError) as error:  # ValueError: it cannot be a machine's name
            reason = file_problem(error) if isinstance(error, OSError) else one_line(error)
            raise RunError(
                f"{host[:100]}:{port}: {reason}; choose another --port or --host"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if secure else "http"
        yield listener, f"{scheme}://{shown}:{listener.getsockname()[1]}"


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what TLS needs; None: without.

    Args:
        certificate: PEM file of the certificate, and of those that it rests on.
        key: PEM file of its private key; default: it is in the same file.

    Raises:
        SettingsError: there is a key alone, or a file cannot be used.
    """
    if certificate is None:
        if key is not None:
            raise SettingsError("--ssl-keyfile: expected --ssl-certfile with it")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")  # or it asks the terminal
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"--ssl-certfile {certificate}: cannot be used: {one_line(error)}; expected PEM files"
            " of a certificate and its key, without a password"
        ) from None
    return context


def serve(
    app: Any,
    listener: socket.socket,
    context: ssl.SSLContext | None = None,
    deadlines: Deadlines | None = None,
) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM; requests in flight are answered.

    Args:
        app: the application.
        listener: the listening socket.
        context: see `tls_context`; None: plain HTTP.
        deadlines: for clients; default `Deadlines()`.
    """
    deadlines = deadlines or Deadlines()
    connections = Connections(most_connections())
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False, proxy_headers=False, ws="none", loop="asyncio",
        http=_protocol(connections, deadlines, context),  # type: ignore[arg-type]  # makes one
        timeout_keep_alive=int(deadlines.idle), backlog=ACCEPTED_AT_ONCE,
    )  # fmt: skip
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(FewLines())
    _Server(settings, connections).run(sockets=[listener])


def _protocol(
    connections: Connections, deadlines: Deadlines, context: ssl.SSLContext | None
) -> Callable[..., asyncio.Protocol]:
    """Return what makes a connection's protocol of uvicorn's options."""

    def make(_loop: object = None, **options: Any) -> asyncio.Protocol:
        if context is None:
            return HttpConnection(connections, deadlines, **options)
        return TlsConnection(connections, deadlines, context, **options)

    return make


class _Server(uvicorn.Server):
    """uvicorn's server, which also closes the connections that are overdue."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.limits = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)  # asyncio takes the number that it accepts at once for both
        self._patrol = asyncio.create_task(self.limits.patrol())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._patrol.cancel()
        with suppress(asyncio.CancelledError):
            await self._patrol
