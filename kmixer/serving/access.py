"""Who may ask: by the server's name in the request, the page it comes from, and a token.

A browser lets any page send requests to any server that its machine reaches, this one on the
loopback address too. It says which page: in Origin, in Sec-Fetch-Site, and by the name in Host.
"""

import hmac
import ipaddress
import re
import socket
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import KmixerWarning, SettingsError, few

MOST_HEADERS = 100
OPEN_PATHS = {"/", "/health"}  # without a token: a page that asks for it, and for supervisors
ANY = "*"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\],]+)(?::[0-9]{1,5})?", re.IGNORECASE)

HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Which requests are answered.

    Attributes:
        hosts: names and addresses that a request may call the server by; empty: any.
        any_address: whether it may be any address, as that of a server that listens on all is.
        allowed: those of `hosts` that were named by hand, whose pages may ask too.
        token: that a request has to bring; None: none.
    """

    hosts: frozenset[str] = frozenset()
    any_address: bool = False
    allowed: frozenset[str] = frozenset()
    token: str | None = None

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the reason with which a request is refused; None: it is not."""
        headers = Headers(scope=scope)
        if len(headers) > MOST_HEADERS:
            return 431, f"received {len(headers):,} headers, expected at most {MOST_HEADERS}"
        return (
            self._host_refusal(headers)
            or self._page_refusal(scope["method"], headers)
            or self._token_refusal(scope["path"], headers)
        )

    def _host_refusal(self, headers: Headers) -> tuple[int, str] | None:
        received = headers.get("host")
        if not self.hosts or received is None:  # HTTP/1.0, which no browser speaks
            return None
        name = host_name(received)
        if name in self.hosts or (self.any_address and name and _is_address(name)):
            return None
        return 403, (
            f"Host: received {received[:100]!r}, expected {few(sorted(self.hosts))}; start the"
            " server with --allow-host to answer to another name"
        )

    def _page_refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Refuse what another site's page sends, but not that a link to this one is followed."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and host_name(_netloc(origin) or "") in self.allowed:
            return None
        reads = method in ("GET", "HEAD")
        followed = reads and headers.get("sec-fetch-dest") == "document"
        if site not in ("same-origin", "none") and not followed:
            return 403, f"Sec-Fetch-Site: received {site[:100]!r}, expected a page of this server"
        if origin is not None and not reads and _netloc(origin) != _plain(headers.get("host", "")):
            return 403, (
                f"Origin: received {origin[:100]!r}, expected a page of this server; behind a"
                " proxy, start the server with --allow-host and the name that pages are under"
            )
        return None

    def _token_refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        if self.token is None or path in OPEN_PATHS:
            return None
        scheme, _, received = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(received.strip().encode(), self.token.encode())
        if scheme.lower() == "bearer" and right:
            return None
        return 401, "expected the server's token: Authorization: Bearer TOKEN"


class GuardRequests:
    """Answers only what `Access` lets pass, and tells browsers what they may do with the answers.

    Args:
        app: that answers.
        access: which requests.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                more = ((name.encode(), value.encode()) for name, value in HEADERS.items())
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in more if name not in known),
                ]
            await send(message)

        refusal = self.access.refusal(scope)
        app = self.app if refusal is None else _refused(*refusal)
        await app(scope, receive, send_with_headers)


def _refused(status: int, reason: str) -> JSONResponse:
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": reason}, status, headers)


def host_name(host: str) -> str | None:
    """Return the name or address in `name:port`, in small letters; None: it is not so written."""
    match = _HOST.fullmatch(host)
    return match[1].lower().strip("[]").removesuffix(".") if match else None


def access_to(address: str, host: str, allowed: frozenset[str], token: str | None) -> Access:
    """Return who may ask a server.

    Args:
        address: that its socket is bound to.
        host: as `--host` gave it.
        allowed: other names, see `check_allowed`.
        token: that requests have to bring; None: none.
    """
    if ANY in allowed:
        return Access(token=token, allowed=allowed)
    named = {address.partition("%")[0], host.lower().removesuffix(".")}  # %: which network card
    names = {"localhost", "127.0.0.1", "::1"} | named | allowed
    everywhere = _plain_address(address).is_unspecified
    if everywhere:
        own = socket.gethostname().lower()
        names |= {own, f"{own}.local"}
    return Access(frozenset(names), everywhere, allowed, token)


def warn_of_reach(address: str, has_token: bool, secure: bool) -> None:
    """Warn where others than this machine reach the server, and what they could do.

    Args:
        address: that its socket is bound to.
        has_token: whether requests have to bring a token.
        secure: whether it speaks TLS.
    """
    bound = _plain_address(address)
    if bound.is_loopback or (has_token and secure):
        return
    reach = "on all addresses of this machine" if bound.is_unspecified else f"on {address}"
    danger = (
        "whoever sees the network sees the token and the images: give it --ssl-certfile"
        if has_token
        else "whoever reaches it may ask it: give it a token (KMIXER_TOKEN), and --ssl-certfile"
    )
    warnings.warn(f"listening {reach}; {danger}", KmixerWarning, stacklevel=2)


def _plain_address(address: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address":
    """Return an address; one of IPv4 that is written as IPv6's is one of IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


def check_allowed(names: Iterable[str]) -> frozenset[str]:
    """Return the names of `--allow-host`, as they are compared; `*` stays.

    Raises:
        SettingsError: one is not the name or the address of a machine.
    """
    found = {name: host_name(name) for name in names}
    if wrong := [name for name, host in found.items() if not host]:
        raise SettingsError(
            f"--allow-host: received {wrong[0][:100]!r}, expected a name or an address, such as"
            " models.example.org"
        )
    return frozenset(host for host in found.values() if host)


def check_token(token: str | None) -> str | None:
    """Return a token that can be sent in a header; None stays.

    Raises:
        SettingsError: it is empty, or holds more than printable ASCII.
    """
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise SettingsError(
            "--token: expected one word of letters, digits and signs, received"
            f" {'nothing' if not token else 'something else'}"
        )
    return token


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _netloc(origin: str) -> str | None:
    """Return the `name:port` of an origin; None for `null` and what is none."""
    try:
        return _plain(urlsplit(origin).netloc) or None
    except ValueError:
        return None


def _plain(netloc: str) -> str:
    """Return `name:port` without a port that need not be told."""
    return re.sub(r":(?:80|443)$", "", netloc.lower())
