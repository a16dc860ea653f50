"""A connection that begins with a TLS handshake."""

import asyncio
import ssl
import time
from typing import Any

from .connections import Connections, Deadlines, client_network
from .http import HttpConnection


class TlsConnection(asyncio.Protocol):
    """A client's connection until its TLS handshake is done; then it is an `HttpConnection`.

    asyncio's own way tells nobody of a connection before the handshake's end, so that no limit
    would count it.

    Args:
        connections: all that are open.
        deadlines: for the client.
        context: with the certificate.
        options: of uvicorn's protocol.
    """

    def __init__(
        self,
        connections: Connections,
        deadlines: Deadlines,
        context: ssl.SSLContext,
        **options: Any,
    ) -> None:
        self.limits, self.deadlines, self.context = connections, deadlines, context
        self.inner = HttpConnection(connections, deadlines, **options)
        self.address, self.waits_for_client = "", True
        self._since = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport, self.address = transport, client_network(transport)
        transport.pause_reading()
        self.limits.add(self)
        self._handshake = asyncio.get_running_loop().create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        try:
            secure = await asyncio.get_running_loop().start_tls(
                self.transport, self.inner, self.context, server_side=True,
                ssl_handshake_timeout=self.deadlines.headers,
                ssl_shutdown_timeout=self.deadlines.closing,
            )  # fmt: skip
        except (OSError, ssl.SSLError):  # a scanner, or a client that does not know the certificate
            self.transport.abort()
            return
        finally:
            self.limits.remove(self)
        if secure is not None:
            self.inner.connection_made(secure)

    def is_overdue(self, now: float) -> bool:
        """Whether the handshake takes too long."""
        return now - self._since > self.deadlines.headers

    def drop(self) -> None:
        """Close the connection."""
        self.transport.abort()
