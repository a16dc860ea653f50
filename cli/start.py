"""Where `kmixer` begins: nothing is imported from the working folder, which may be anybody's."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    leave_out_working_folder()
    from kmixer.backend import without_collections

    with without_collections():
        from .main import main as run

    run()


def leave_out_working_folder() -> None:
    """Import from absolute folders only, here and in the processes that libraries start.

    `python -m kmixer_cli`, an empty entry of `PYTHONPATH` and a relative one lead into the working
    folder. An absolute entry stays: whoever wrote it meant that folder.
    """
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    home = os.path.dirname(os.path.dirname(__file__))  # that `kmixer` and its like lie in
    kept = {home, *filter(os.path.isabs, entries)}
    left_out = {path for entry in ["", *entries] for path in _as_in_sys_path(entry)}
    sys.path[:] = [path for path in sys.path if path in kept or path not in left_out]
    from kmixer.processes import isolated

    cleaned = isolated(os.environ)
    for name in set(os.environ) - set(cleaned):
        del os.environ[name]
    os.environ.update(cleaned)


def _as_in_sys_path(entry: str) -> set[str]:
    """Return how Python may have written an entry that does not begin at the root."""
    try:
        return {entry, os.path.abspath(entry), os.path.realpath(entry)}
    except OSError:  # the working folder has been removed: nothing can be imported from it
        return {entry}
