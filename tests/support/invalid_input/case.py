"""What a user may get wrong: commands, files and folders that kmixer has to refuse in one line."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """A malformed input.

    Attributes:
        id: the test's name.
        words: what is typed after `kmixer`; a word may hold `{images}`, a whole image folder.
        named: what the error has to name one of.
        prepare: called with the folder that the command runs in, and with `Good`.
    """

    id: str
    words: tuple[str, ...]
    named: tuple[str, ...]
    prepare: Callable = field(default=lambda here, good: None)


@dataclass(frozen=True)
class Good:
    """What is whole, to be copied and broken: a finished run, its export, the images of both."""

    run: object
    export: object
    images: object

    def copy_run(self, target):
        """Copy the run, without what was made of it later."""
        shutil.copytree(self.run, target, ignore=shutil.ignore_patterns("evaluation", "export"))

    def copy_exported_run(self, target):
        """Copy the run and its export."""
        self.copy_run(target)
        shutil.copytree(self.export, target / "export" / "tflite")

    def words(self, case):
        """Return the words of a case as they are typed."""
        return [word.replace("{images}", str(self.images)) for word in case.words]


def written(name, content):
    """Return a `prepare` that writes a file of text or bytes."""

    def prepare(here, good):
        data = content.encode() if isinstance(content, str) else content
        (here / name).write_bytes(data)

    return prepare


def every_case():
    """Return all cases; their modules are imported here because they import this one."""
    from invalid_input import files, flags, runs, settings

    return [case for module in (flags, settings, runs, files)
            for case in module.cases()]  # fmt: skip
