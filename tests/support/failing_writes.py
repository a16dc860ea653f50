"""Trainings whose N-th write fails: `python tests/support/failing_writes.py JOB.json`.

Each is a fork of this process that calls the command line. What counts as a write: opening a file
for it, renaming one, and flushing one to the disk.
"""

import json
import os
import sys
import zipfile
from functools import partial
from pathlib import Path

from kill_and_resume import begin, different, end

WRITING = os.O_WRONLY | os.O_RDWR


def main(job):
    """Fail each of `job["writes"]` (all of them, where it is None) in a training of its own."""
    root = Path(job["root"])
    count = root / "count"
    assert end(begin(job, root / "whole", partial(_fail, root, None, count, None))) == 0
    total = int(count.read_text())
    writes, problems = job["writes"] or range(1, total + 1), []
    for number in writes:
        found = _problems(job, root, number)
        problems += [f"write {number}: {problem}" for problem in found]
    print(json.dumps({"writes": total, "tried": len(writes), "problems": problems}))


def _problems(job, root, number):
    folder, said = root / f"failed-{number}", root / "stderr"
    code = end(begin(job, folder, partial(_fail, root, number, root / "count", said)))
    lines = said.read_text().splitlines()
    if code != 1 or len(lines) != 1 or "No space left on device" not in lines[0]:
        yield f"ended with {code}, saying {lines}"
    yield from (f"left {path.name}" for path in folder.glob(".*"))
    for path in (*folder.glob("*.npz"), *folder.glob("*.keras")):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():
                yield f"{path.name} is not whole"
    if end(begin(job, folder)):
        yield "cannot be gone on with"
    else:
        yield from different(root / "whole", folder)


def _inside(folder, name):
    """Return the path of a name in an opened folder; -1 and None stand for no folder."""
    if folder in (None, -1):
        return name
    return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)


def _fail(root, number, count, said):
    """Count this process's writes below a folder; let the N-th one find the disk full.

    It is still full when the same is tried again, as `zipfile` does to open a file.
    """
    seen, full = 0, None

    def write(path):
        nonlocal seen, full
        if str(path).startswith(str(root)) and Path(path) not in (count, said):
            seen += 1
            if number is None:
                with count.open("w") as file:
                    file.write(str(seen))
            full = path if seen == number else full
            if path == full:
                raise OSError(28, "No space left on device")

    def audit(event, arguments):
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            if (arguments[2] or 0) & WRITING:
                write(arguments[0])
        elif event == "os.rename":
            write(_inside(arguments[3], arguments[1]))

    flush, open_file = os.fsync, os.open

    def open_inside(path, flags, mode=0o777, *, dir_fd=None):
        """The audit event of an opening does not say in which folder its name is."""
        if dir_fd is not None and flags & WRITING:
            write(_inside(dir_fd, path))
        return open_file(path, flags, mode, dir_fd=dir_fd)

    def fsync(descriptor):
        write(os.readlink(f"/proc/self/fd/{descriptor}"))
        flush(descriptor)

    if said:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.fsync, os.open = fsync, open_inside
    sys.addaudithook(audit)


if __name__ == "__main__":
    import keras  # noqa: F401

    import kmixer.training.train  # noqa: F401

    main(json.loads(Path(sys.argv[1]).read_text()))
