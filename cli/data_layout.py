"""How a folder of images was read, as a tree: splits, classes, and what was left out."""

from __future__ import annotations

from typing import Any

from .terminal import Terminal

MOST_CLASSES = 50  # of a split that are listed; --json has all


def print_layout(terminal: Terminal, facts: dict[str, Any]) -> None:
    """Print which folder became which split, with its classes, and the notes.

    Args:
        terminal: where it is printed.
        facts: of a `Dataset`, as its `describe` returns them.
    """
    branches = {}
    for split, counts in facts["counts"].items():
        place, total = facts["layout"][split], sum(counts.values())
        branches[f"{split}: {place}, {total:,} images"] = _classes(counts)
    if facts["notes"]:
        branches["notes"] = facts["notes"]
    terminal.tree(f"{len(facts['counts']['train']):,} classes", branches)


def _classes(counts: dict[str, int]) -> list[str]:
    shown = list(counts.items())[:MOST_CLASSES]
    width = max(len(f"{count:,}") for _, count in shown)
    lines = [f"{count:>{width},}  {name}" for name, count in shown]
    more = len(counts) - len(shown)
    return [*lines, f"and {more:,} more classes"] if more else lines
