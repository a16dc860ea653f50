"""Put the page together: one front end, and one of two engines that answer about an image.

The parts lie beside this module. `server.js` asks the server that the page came from, `local.js`
starts the scripts of `WORKER` beside the page, with the model that the file holds. An engine is a
function `classify(file, invert)` that returns `{classes, seen, answer, explanation}`: the classes
with their probabilities, the best first; the image that the model saw, as the address of a picture;
where the model has answers, what `kmixer.runs.answers.Answers.of` says; and where there is one, the
explanation with `chosen.class` and `maps.chosen`, a picture that is laid over the image.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

SERVER, LOCAL = ("server.js",), ("answers.js", "heat.js", "local.js")
WORKER = ("worker.js", "image.js", "resize.js", "weights.js", "network.js")
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; {engine}; form-action 'none';"
    " base-uri 'none'"
)


@dataclass(frozen=True)
class Page:
    """A page, and what a browser is to allow it.

    Attributes:
        html: the whole of it.
        policy: its Content-Security-Policy: its own script and style, which it names by their
            hashes, and what its engine needs.
    """

    html: str
    policy: str


def server_page(about: Mapping[str, Any]) -> Page:
    """Return the page that asks the server it came from.

    Args:
        about: `name`, `classes` (how many), `width`, `height` and `channels` of the model's images;
            `explains`: whether the server explains its answers.
    """
    return _assemble(about, SERVER, "img-src data:; connect-src 'self'")


def local_page(about: Mapping[str, Any], weights: str) -> Page:
    """Return the page that holds its model and asks nobody.

    Args:
        about: as for `server_page`; besides `names` of the classes, `fit`, the `answers`, and the
            network's description, which `network.js` carries out.
        weights: the network's numbers, as `weights.js` unpacks them.
    """
    worker = "".join(map(_part, WORKER))
    data = _data("weights", "text/plain", weights) + _data("worker", "text/plain", worker)
    return _assemble(about, LOCAL, "img-src data: blob:; worker-src blob:", data, inside=True)


def is_own(html: str) -> bool:
    """Return whether a page is one of this kmixer's own, whatever the model that it holds."""
    before, between, after = re.split(
        r'(?<=id="model">)\{\}|(?<=id="weights">)', local_page({}, "").html, maxsplit=2
    )
    return re.fullmatch("[^<]*".join(map(re.escape, (before, between, after))), html) is not None


def _assemble(
    about: Mapping[str, Any],
    engine: tuple[str, ...],
    allowed: str,
    data: str = "",
    *,
    inside: bool = False,
) -> Page:
    script = "".join(map(_part, ("page.js", *engine)))
    style = _part("style.css")
    policy = POLICY.format(script=_hash(script), style=_hash(style), engine=allowed)
    meta = f'<meta http-equiv="content-security-policy" content="{policy}">\n' if inside else ""
    model = json.dumps(about, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "policy": meta, "style": style, "script": script,
        "data": _data("model", "application/json", model) + data,
    }  # fmt: skip
    html = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))
    return Page(html, policy)


def _part(name: str) -> str:
    """Return a part without its indentation and comments: a page is read by browsers."""
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    if name.endswith(".css"):
        return re.sub(r"/\*.*?\*/|(?<=[{};:,])\s+|\s+(?=[{}])|\n\s*", "", text)
    if name.endswith(".js"):
        text = re.sub(r"(^| ) *// .*$", "", text, flags=re.MULTILINE)
    return "".join(f"{line.strip()}\n" for line in text.splitlines() if line.strip())


def _data(name: str, kind: str, text: str) -> str:
    """Return a block of data, which a browser neither shows nor runs."""
    return f'<script type="{kind}" id="{name}">{text}</script>\n'


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
