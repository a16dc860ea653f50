"""`kmixer data cache`: list, clear."""

import time
from typing import TYPE_CHECKING

import typer

from .terminal import Json, Quiet, Terminal

if TYPE_CHECKING:
    from kmixer.data.cache import CacheFolder, StoredEntry

app = typer.Typer(help="Images and compiled steps kept for the next time.", no_args_is_help=True)

UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60))


@app.command("list")
def list_(quiet: Quiet = False, as_json: Json = False) -> None:
    """List what is kept: images, size, when it was last used, the folder that it came from.

    Example: kmixer data cache list
    """
    terminal, folder = Terminal(quiet, as_json), _cache_folder()
    entries = folder.entries() if folder else []
    size = sum(entry.size for entry in entries)
    if entries:
        rows = [[_origin(e), _content(e), _megabytes(e.size), _age(e.used)] for e in entries]
        terminal.table(None, ["folder", "content", "size", "last used"], rows)
    if folder:
        terminal.say(
            f"{folder.path}: {_megabytes(size)} of at most {_megabytes(folder.limit)}"
            " (KMIXER_CACHE, KMIXER_CACHE_SIZE)"
        )
    else:
        terminal.say("nothing is kept: the user has no home, and KMIXER_CACHE is not set")
    from kmixer.runs import compiled

    steps = compiled.stored()
    if steps:
        terminal.say(f"beside it {_megabytes(sum(steps))} of compiled steps")
    listed = [
        {"file": str(e.path), "bytes": e.size, "used": e.used, "folder": e.facts.get("folder"),
         "shape": e.facts.get("shape")}
        for e in entries
    ]  # fmt: skip
    terminal.result({"cache": folder and str(folder.path), "bytes": size, "entries": listed,
                     "compiled_bytes": sum(steps)})  # fmt: skip


@app.command()
def clear(quiet: Quiet = False, as_json: Json = False) -> None:
    """Remove all that is kept; it is made anew when it is needed.

    Example: kmixer data cache clear
    """
    terminal, folder = Terminal(quiet, as_json), _cache_folder()
    from kmixer.runs import compiled

    count, size = folder.clear() if folder else (0, 0)
    steps = compiled.clear()
    count, size = count + len(steps), size + sum(steps)
    terminal.say(f"{count} entries removed, {_megabytes(size)}")
    terminal.result({"removed": count, "bytes": size})


def _cache_folder() -> "CacheFolder | None":
    from kmixer.data.cache import find_cache_folder

    return find_cache_folder()


def _origin(entry: "StoredEntry") -> str:
    return str(entry.facts.get("folder", "damaged; it will be made anew"))


def _content(entry: "StoredEntry") -> str:
    count, *shape = entry.facts.get("shape", [0])
    if not shape:
        return f"what {count:,} files say of themselves" if count else "–"
    return f"{count:,} images, {'×'.join(map(str, shape))}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _age(used: float) -> str:
    seconds = time.time() - used
    for unit, length in UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"
