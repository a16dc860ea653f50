"""Limits on what the server works on at once: requests, bytes of bodies, images being decoded.

uvicorn's `limit_concurrency` does not replace this: it counts idle connections too, refuses
`/health` and `/metrics` with the rest, answers in plain text where TensorFlow Serving's clients
expect JSON, and has no limit on bytes.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from .uploads import check_encoding

DECODERS = min(os.cpu_count() or 1, 4)  # decoding an image can need hundreds of megabytes
MAX_BODIES = 8  # of the greatest length, together

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class RequestLimits:
    """Refuses requests before memory is spent on them.

    Args:
        max_requests: requests in flight; beyond it the answer is 503.
        max_body: bytes of a request; beyond it the answer is 413, before the rest is read.
    """

    def __init__(self, max_requests: int, max_body: int) -> None:
        self.max_requests, self.max_body = max_requests, max_body
        self.requests = 0  # in flight: those whose body has come
        self.body_bytes = 0  # of all bodies, those that are still coming too
        self._coming: dict[anyio.CancelScope, None] = {}  # of bodies, the first that began first
        self._decoders: anyio.CapacityLimiter | None = None

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytearray]:
        """Yield a request's body; the request counts as in flight from here until the block ends.

        A body that was announced and does not come keeps nobody else's request from being answered.

        Raises:
            HTTPException: 413 too long, 415 compressed, 503 too much in flight.
            ClientDisconnect: the client left before all had come.
        """
        check_encoding(request.headers)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body:
            raise self._too_long()
        self._check_requests()
        content = bytearray()
        try:
            await self._read(request, content)
            self._check_requests()
            self.requests += 1
            try:
                yield content
            finally:
                self.requests -= 1
        finally:
            self.body_bytes -= len(content)

    def _check_requests(self) -> None:
        if self.requests >= self.max_requests:
            raise _busy(f"{self.requests} requests are in flight")

    async def _read(self, request: Request, content: bytearray) -> None:
        """Append the pieces of a body to `content` as they come."""
        with anyio.CancelScope() as scope:
            self._coming[scope] = None
            try:
                async for piece in request.stream():
                    content += piece
                    self.body_bytes += len(piece)
                    if len(content) > self.max_body:
                        raise self._too_long()
                    if self.body_bytes > MAX_BODIES * self.max_body:
                        self._make_room(scope)
            finally:
                self._coming.pop(scope, None)
        if scope.cancelled_caught:
            raise _busy("the requests in flight are too long together")

    def _make_room(self, newest: anyio.CancelScope) -> None:
        """Give up the body that has been coming for the longest, or else the one that came last."""
        oldest = next(iter(self._coming), newest)
        self._coming.pop(oldest, None)
        oldest.cancel()

    async def decode(
        self,
        function: Callable[_Arguments, _Result],
        *arguments: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result:
        """Run a decoding function in a thread, at most `DECODERS` at a time."""
        if self._decoders is None:  # it belongs to the event loop that first calls this
            self._decoders = anyio.CapacityLimiter(DECODERS)
        call = partial(function, *arguments, **options)
        return await anyio.to_thread.run_sync(call, limiter=self._decoders)

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"the body is longer than {self.max_body:,} bytes (--max-body)")


def _busy(reason: str) -> HTTPException:
    return HTTPException(503, f"{reason}; try again later", {"Retry-After": "1"})
