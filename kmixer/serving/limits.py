"""What the server takes in at once: requests, bytes of bodies, images being decoded."""

import os
from contextlib import asynccontextmanager

import anyio
from starlette.exceptions import HTTPException

DECODERS = min(os.cpu_count() or 1, 4)  # an image being decoded can need hundreds of megabytes
BODIES_HELD = 8  # of the longest allowed, all together


class Gate:
    """Refuses before memory is spent.

    Args:
        max_requests: that may be in hand; beyond it the answer is 503.
        max_body: bytes of a request; beyond it the answer is 413, before the rest is read.
    """

    def __init__(self, max_requests, max_body):
        self.max_requests, self.max_body = max_requests, max_body
        self.requests = self.held = 0
        self._decoders = None

    @asynccontextmanager
    async def body(self, request):
        """Yield a request's body; while it is in hand it counts."""
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body:
            raise self._too_long()
        if self.requests >= self.max_requests:
            raise _busy(f"{self.requests} requests are in hand already")
        self.requests += 1
        content = bytearray()
        try:
            async for piece in request.stream():
                content += piece
                self.held += len(piece)
                if len(content) > self.max_body:
                    raise self._too_long()
                if self.held > BODIES_HELD * self.max_body:
                    raise _busy("the requests in hand are too long together")
            yield content
        finally:
            self.requests -= 1
            self.held -= len(content)

    async def read(self, function, *arguments):
        """Run what decodes in a thread, few at a time."""
        if self._decoders is None:  # it belongs to the event loop that first asks
            self._decoders = anyio.CapacityLimiter(DECODERS)
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._decoders)

    def _too_long(self):
        return HTTPException(413, f"the body is longer than {self.max_body:,} bytes")


def _busy(reason):
    return HTTPException(503, f"{reason}; try again later", {"Retry-After": "1"})
