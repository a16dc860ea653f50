"""What the Hub's answers may say: its client takes names of files from them, and bytes without end.

`HF_ENDPOINT` names another Hub, a mirror, or whoever stands between where it is no `https`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

# The client calls files of its cache by them.
NAMES = ("etag", "x-linked-etag", "x-repo-commit", "x-xet-hash")
LISTING_BYTES, LISTING_SECONDS = 20_000_000, 60  # what an answer may take that lists files


@contextmanager
def checked_answers() -> Iterator[None]:
    """While the block runs, refuse answers that lead the Hub's client elsewhere, or keep it.

    Raises:
        ValueError: see above.
    """
    from huggingface_hub import get_session

    hooks = get_session().event_hooks["response"]
    checks = [_check_names, _bound_listing]
    hooks.extend(checks)
    try:
        yield
    finally:
        for check in checks:
            hooks.remove(check)


def _check_names(response: httpx2.Response) -> None:
    if response.request.method != "HEAD":  # of what is sent, the client takes no names
        return
    for header in NAMES:
        name = response.headers.get(header, "").removeprefix("W/").strip('"')
        if name and not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise ValueError(f"{header}: received {name[:100]!r}, expected letters and digits")


def _bound_listing(response: httpx2.Response) -> None:
    """Let an answer of the Hub's interface, which is read whole, end where no listing goes on."""
    if not response.request.url.path.startswith("/api/"):
        return
    whole = response.iter_bytes

    def pieces(chunk_size: int | None = None) -> Iterator[bytes]:
        received, over = 0, time.monotonic() + LISTING_SECONDS
        for piece in whole(chunk_size):
            received += len(piece)
            if received > LISTING_BYTES:
                raise ValueError(f"received more than {LISTING_BYTES:,} bytes of a listing")
            if time.monotonic() > over:
                raise ValueError(f"a listing took more than {LISTING_SECONDS} s")
            yield piece

    response.iter_bytes = pieces  # type: ignore[method-assign]


def bounded(most: int) -> Any:
    """Return a progress bar's class for the Hub's client, with which no file grows beyond a size.

    Args:
        most: bytes of a file.
    """
    from huggingface_hub.utils.tqdm import tqdm

    class Bounded(tqdm):
        """Counts what comes, and ends it."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.received = options.get("initial") or 0

        def update(self, n: float | None = 1) -> bool | None:
            self.received += n or 0
            if self.received > most:
                raise ValueError(f"received more than {most:,} bytes of a file")
            return super().update(n)

    return Bounded
