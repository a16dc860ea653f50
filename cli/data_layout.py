"""How a folder of images was read, as a tree: splits, classes, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .terminal import Terminal

if TYPE_CHECKING:
    from rich.tree import Tree

MOST_CLASSES = 50  # of a split that are listed; --json has all


def print_layout(terminal: Terminal, facts: dict[str, Any]) -> None:
    """Print which folder became which split, with its classes, and the notes.

    Args:
        terminal: where it is printed.
        facts: of a `Dataset`, as its `describe` returns them.
    """
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(f"{len(facts['counts']['train']):,} classes"))
    for split, counts in facts["counts"].items():
        place, total = facts["layout"][split], sum(counts.values())
        _add_classes(tree.add(Text(f"{split}: {place}, {total:,} images")), counts)
    if facts["notes"]:
        notes = tree.add(Text("notes"))
        for note in facts["notes"]:
            notes.add(Text(note))
    terminal.console.print(tree, soft_wrap=False)


def _add_classes(branch: Tree, counts: dict[str, int]) -> None:
    from rich.text import Text

    shown = list(counts.items())[:MOST_CLASSES]
    width = max(len(f"{count:,}") for _, count in shown)
    for name, count in shown:
        branch.add(Text(f"{count:>{width},}  {name}"))
    if len(counts) > len(shown):
        branch.add(Text(f"and {len(counts) - len(shown):,} more classes"))
