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
        self._early = bytearray()  # what came between the handshake and the handing over

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport, self.address = transport, client_network(transport)
        transport.pause_reading()
        self.limits.add(self)
        self._handshake = asyncio.get_running_loop().create_task(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        self._early += data

    async def _shake_hands(self) -> None:
        try:
            secure = await asyncio.get_running_loop().start_tls(
                self.transport, self, self.context, server_side=True,
                ssl_handshake_timeout=self.deadlines.headers,
                ssl_shutdown_timeout=self.deadlines.closing,
            )  # fmt: skip
        except OSError:  # a scanner, or a client that does not trust the certificate
            self.transport.abort()
            return
        finally:
            self.limits.remove(self)
        if secure is None or secure.is_closing():
            self.transport.abort()
            return
        secure.set_protocol(self.inner)
        self.inner.connection_made(secure)
        if self._early:
            self.inner.data_received(bytes(self._early))

    def is_overdue(self, now: float) -> bool:
        """Whether the handshake takes too long."""
        return now - self._since > self.deadlines.headers

    def drop(self) -> None:
        """Close the connection."""
        self.transport.abort()
