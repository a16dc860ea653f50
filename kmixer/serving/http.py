"""A connection's HTTP: uvicorn's protocol on h11, with deadlines and without what h11 lets pass."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .connections import Connections, Deadlines, client_network

FREE_PIECES = 10_000  # of a body, that may be of any size
SMALLEST_PIECE = 64  # bytes, on average, beyond them: each costs as much time as kilobytes at once
TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Parser(h11.Connection):
    """h11's parser, which also refuses requests that others may read in another way."""

    _pieces = _piece_bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._piece_bytes = 0
            _check_framing(event)
        elif isinstance(event, h11.Data):
            self._count(len(event.data))
        return event

    def _count(self, length: int) -> None:
        self._pieces += 1
        self._piece_bytes += length
        if self._pieces > FREE_PIECES and self._piece_bytes < SMALLEST_PIECE * self._pieces:
            raise h11.RemoteProtocolError("a body in too many pieces")


def _check_framing(request: h11.Request) -> None:
    """Refuse another version, and a body whose length is told in two ways or not as in its own."""
    if request.http_version not in (b"1.0", b"1.1"):
        raise h11.RemoteProtocolError("neither HTTP/1.0 nor HTTP/1.1")
    names = {name.lower() for name, _ in request.headers}
    if b"transfer-encoding" in names and (
        b"content-length" in names or request.http_version < b"1.1"
    ):
        raise h11.RemoteProtocolError("Transfer-Encoding beside Content-Length, or in HTTP/1.0")


class HttpConnection(H11Protocol):
    """A client's connection, which is closed when the client lets the server wait.

    Args:
        connections: all that are open.
        deadlines: for the client.
        options: of uvicorn's protocol.
    """

    def __init__(self, connections: Connections, deadlines: Deadlines, **options: Any) -> None:
        super().__init__(**options)
        self.conn = _Parser(h11.SERVER, self.config.h11_max_incomplete_event_size or 16_384)
        self.limits, self.deadlines = connections, deadlines
        self.address = ""
        self._received = 0  # bytes
        self._stage: tuple[str, object] = ("", None)
        self._since, self._mark = time.monotonic(), 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.address = client_network(transport)
        super().connection_made(transport)
        self.limits.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.limits.remove(self)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        self.limits.touch(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, unless an answer to the request was begun before."""
        self._forget_request()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _forget_request(self) -> None:
        """Tell what works on a request that its client is gone, so that it does not answer too."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def shutdown(self) -> None:
        """Close when the server stops: at once where it waits for a request."""
        with suppress(h11.LocalProtocolError):  # it is being closed already
            super().shutdown()
        if self.stage in ("headers", "idle"):
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Take a request for another protocol as the HTTP that it is too, without a word."""

    @property
    def stage(self) -> str:
        """What the connection waits for: a client's part, or `""`, the server's."""
        answered = self.cycle is not None and self.cycle.response_complete
        if self.transport.get_write_buffer_size():
            return "answer"
        if self.transport.is_closing():
            return "closing"
        if self.conn.their_state is h11.SEND_BODY:
            return "closing" if answered else "" if self.flow.read_paused else "body"
        if self.conn.their_state is h11.IDLE:
            return "idle" if answered and not self.conn.trailing_data[0] else "headers"
        return ""

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client's turn."""
        return bool(self.stage)

    def is_overdue(self, now: float) -> bool:
        """Whether the client has not done its part in time; called every now and then."""
        stage = (self.stage, self.cycle)
        if stage != self._stage:
            self._stage = stage
            self._begin_period(now)
        waited = now - self._since
        if stage[0] in ("body", "answer"):
            return waited > self.deadlines.pace and not self._keeps_pace(now)
        seconds = {"headers": self.deadlines.headers, "idle": self.deadlines.idle + 1,
                   "closing": self.deadlines.closing}  # fmt: skip
        return waited > seconds.get(stage[0], float("inf"))

    def _keeps_pace(self, now: float) -> bool:
        moved = self._moved() - self._mark
        self._begin_period(now)
        self.limits.touch(self)
        return moved >= self.deadlines.pace_bytes

    def _begin_period(self, now: float) -> None:
        self._since, self._mark = now, self._moved()

    def _moved(self) -> int:
        """Return a number that grows with every byte that the client sends, or takes."""
        return self._received - self.transport.get_write_buffer_size()

    def drop(self) -> None:
        """Close the connection; where a request was begun, say why."""
        stage = self.stage
        if stage in ("answer", "closing", ""):
            self.transport.abort()
            return
        self._forget_request()
        if stage == "body" or self.conn.trailing_data[0]:
            self.transport.write(TOO_LATE)
        self.transport.close()
