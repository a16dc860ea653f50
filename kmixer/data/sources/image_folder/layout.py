"""What in a folder is a split, what a class, and what neither."""

from pathlib import Path

from ....errors import DataError, file_problem

TEST_NAMES = ("test", "val", "valid", "validation")


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, but hidden ones."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {file_problem(error)}") from None


def find_trees(folder: Path) -> list[Path]:
    """Return the training and the test tree, or the only tree if the folder is flat."""
    present = {path.name: path for path in subfolders(folder)}
    held_out = [present[name] for name in TEST_NAMES if name in present]
    if "train" in present and held_out:
        return [present["train"], held_out[0]]
    return [present["train"] if set(present) == {"train"} else folder]


def find_class_names(trees: list[Path]) -> tuple[str, ...]:
    """Return the names of the class folders, which all trees must have."""
    names = tuple(path.name for path in subfolders(trees[0]))
    if len(names) < 2:
        present = f"one class only, {names[0]!r}" if names else "no class folders"
        raise DataError(f"{trees[0]}: {present}; expected at least two folders, one per class")
    for tree in trees[1:]:
        others = {path.name for path in subfolders(tree)}
        if others != set(names):
            raise DataError(
                f"{tree}: its class folders differ from {trees[0]}:"
                f" {sorted(others ^ set(names))} stand in one of them only"
            )
    return names
