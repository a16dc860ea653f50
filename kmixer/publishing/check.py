"""The outcome of one check of a run or an export."""

from dataclasses import dataclass
from typing import Literal, Self

SIGNATURE, CHECKSUMS, PROOF = "signature", "checksums", "proof"


@dataclass(frozen=True)
class Check:
    """What was checked, and how it came out.

    Attributes:
        what: `SIGNATURE`, `CHECKSUMS` or `PROOF`.
        result: the outcome.
        detail: in words, what was found, what is wrong, or why it was not checked.
    """

    what: str
    result: Literal["ok", "failed", "not checked"]
    detail: str

    @classmethod
    def ok(cls, what: str, detail: str) -> Self:
        """Return a check that nothing speaks against."""
        return cls(what, "ok", detail)

    @classmethod
    def failed(cls, what: str, detail: str) -> Self:
        """Return a check that the folder does not stand."""
        return cls(what, "failed", detail)

    @classmethod
    def skipped(cls, what: str, detail: str) -> Self:
        """Return a check that could not be made, or that nobody asked for."""
        return cls(what, "not checked", detail)
