"""Files in memory as a folder that no other user of the machine can reach or change."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def as_folder(files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield a folder that holds these files and that no other user can reach, then remove it.

    Args:
        files: their content by their paths in the folder, with "/" between folders.
    """
    with tempfile.TemporaryDirectory(prefix="kmixer-") as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield folder
