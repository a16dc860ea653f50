"""Whether a host answers, found out in seconds."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread
from urllib.parse import urlparse

PROBE_SECONDS = 5


def url_hosts(urls: Iterable[object]) -> list[str]:
    """Return the hosts of these addresses, sorted."""
    hosts = {urlparse(str(url)).hostname for url in urls}
    return sorted(host for host in hosts if host)


def is_reachable(host: str) -> bool:
    """Return whether a host answers within `PROBE_SECONDS`, name look-up included.

    Behind a proxy, only the proxy could tell, and the answer is always yes.
    """
    from urllib.request import getproxies  # its HTTP client is slow to import

    if getproxies():
        return True
    open_ports: list[int] = []

    def connect() -> None:
        for port in (443, 80):
            with suppress(OSError):
                socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
                open_ports.append(port)
                return

    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(open_ports)
