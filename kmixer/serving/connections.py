"""Limits on connections: how many are open at once, and how long each may keep the server waiting.

uvicorn has a deadline for idle connections alone, and none once a byte has come. Here every stage
in which the server waits for a client has one: a connection that is not done in time is closed.
Where too many are open, the one that has waited for its client the longest makes room, so that
whoever acts is served, however many do not.
"""

import asyncio
import ipaddress
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MOST_CONNECTIONS = 4096
MOST_DESCRIPTORS = 65_536  # to ask for; some systems allow a billion, and tables are made for them
KEPT_DESCRIPTORS = 256  # for files, and for what is accepted before others are closed
PATROL_SECONDS = 0.5
DROPPED_AT_ONCE, DROP_PAUSE = 10, 0.02  # connections, and seconds until the next


@dataclass(frozen=True)
class Deadlines:
    """Seconds in which a client has to do its part.

    Attributes:
        headers: to send a request's headers, from the opening of the connection or the first byte.
        idle: between two requests.
        pace: in each period of so many seconds a body has to bring, and an answer has to take,
            `pace_bytes`.
        pace_bytes: bytes in a period; one that ends earlier needs fewer.
        closing: to take the rest of the last answer, or to send the rest of a refused body.
    """

    headers: float = 10.0
    idle: float = 5.0
    pace: float = 10.0
    pace_bytes: int = 10_000
    closing: float = 5.0


class Watched(Protocol):
    """A connection as the limits see it."""

    address: str

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client's turn."""

    def is_overdue(self, now: float) -> bool:
        """Whether the client has not done its part in time."""

    def drop(self) -> None:
        """Close it, at once if it is being closed already."""


class Connections:
    """All open connections, and who has to leave.

    Args:
        most: that are open at once.
        most_of_address: of those, from one address.
    """

    def __init__(self, most: int, most_of_address: int | None = None) -> None:
        self.most = most
        self.most_of_address = most_of_address or max(most // 2, 1)
        self._open: dict[Watched, None] = {}  # the longest open first
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Watched) -> None:
        """Count a new connection; where there are too many, one that waits is dropped."""
        self._open[connection] = None
        self._addresses[connection.address] += 1
        if self._addresses[connection.address] > self.most_of_address:
            self._make_room(connection.address)
        elif len(self._open) > self.most:
            self._make_room(self._addresses.most_common(1)[0][0])

    def remove(self, connection: Watched) -> None:
        """Count a connection no more; one that is not counted is fine."""
        if connection in self._open:
            del self._open[connection]
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]

    def touch(self, connection: Watched) -> None:
        """Take a connection for the one that acted last."""
        if connection in self._open:
            self._open[connection] = self._open.pop(connection)

    def _make_room(self, address: str) -> None:
        """Drop the connection of an address that has kept the server waiting the longest.

        The newest is among those that wait, so that there is always one.
        """
        chosen = next(one for one in self._open if one.address == address and one.waits_for_client)
        self.remove(chosen)
        chosen.drop()

    def overdue(self, now: float) -> list[Watched]:
        """Return the connections that have not met their deadline."""
        return [connection for connection in list(self._open) if connection.is_overdue(now)]

    async def patrol(self) -> None:
        """Close what is overdue, again and again, until cancelled.

        A few at a time: thousands that came together are due together, and others wait meanwhile.
        """
        while True:
            await asyncio.sleep(PATROL_SECONDS)
            for number, connection in enumerate(self.overdue(time.monotonic()), 1):
                connection.drop()
                if number % DROPPED_AT_ONCE == 0:
                    await asyncio.sleep(DROP_PAUSE)


def most_connections() -> int:
    """Let the process open as many files as its system allows; return the connections that fit."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    available = most if soft == resource.RLIM_INFINITY else soft
    used = _open_descriptors()
    return max(min(MOST_CONNECTIONS, available - used - KEPT_DESCRIPTORS), 16)


def _open_descriptors() -> int:
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 64


def client_network(transport: asyncio.BaseTransport) -> str:
    """Return a client's address; of IPv6 the network, all of which is one client's."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
