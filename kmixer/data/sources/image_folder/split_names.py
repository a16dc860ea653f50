"""Which names of folders are those of splits: `train`, `Training_Set`, `seg_test`, `val2017`."""

import re
import unicodedata
from typing import Literal

Role = Literal["train", "validation", "test", "evaluation", "unlabeled"]

_WORDS: dict[Role, str] = {
    "train": "train|training|trains|trn|trainval",
    "validation": "val|vals|valid|validation|validate|validating|dev|devel|development",
    "test": "test|testing|tests|tst|holdout|heldout",
    "evaluation": "eval|evaluation|evaluate",  # the validation set, or the test set beside one
    "unlabeled": "unlabeled|unlabelled|pred|predict|prediction|predictions|inference|submission",
}
_ENDING = "(set|sets|data|dataset|images|image|imgs|img|split|folder|dir|samples|files)?"
_PATTERNS = {role: re.compile(f"({words}){_ENDING}") for role, words in _WORDS.items()}
WRAPPERS = frozenset((
    "images", "image", "imgs", "img", "data", "dataset", "photos", "pictures", "all", "jpegimages",
    "jpg", "jpeg", "png", "unknown",
))  # fmt: skip


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: of `SegTrain-images2`, seg, train, images."""
    plain = unicodedata.normalize("NFKC", name)
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return re.findall(r"[^\W\d_]+", apart.lower())


def role_of(name: str) -> Role | None:
    """Return the split that a folder's name means; None where it means none, or several."""
    found = {role for word in words(name) for role, pattern in _PATTERNS.items()
             if pattern.fullmatch(word)}  # fmt: skip
    if found == {"train", "validation"}:  # train_val: what is neither is the test set
        return "train"
    if found == {"test", "unlabeled"}:
        return "unlabeled"
    return found.pop() if len(found) == 1 else None


def is_plain(name: str) -> bool:
    """Return whether a split's name is that of the split alone: `test`, and not `test-old`."""
    return len(words(name)) == 1 and not re.search(r"\d", name)


def is_wrapper(name: str, outer: str) -> bool:
    """Return whether a folder that lies alone in a split's folder only wraps the class folders."""
    if name == outer or name.lower() in WRAPPERS:
        return True
    return role_of(name) is not None and role_of(name) == role_of(outer)
