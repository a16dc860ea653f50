"""A repository of the Hugging Face Hub → its weights in the Hub's own cache, checked; no Keras."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from ...errors import DataError, KmixerError, SettingsError, file_problem, nearest, one_line
from ...files.checksums import checksum
from .answers import bounded, checked_answers
from .names import Reference, known_names

LOGGER = logging.getLogger(__name__)
WEIGHTS, CONFIG = "model.safetensors", "config.json"
# The largest of the paper's Mixers has 1.7 GB in 32 bits; a description with 21,843 names 1 MB.
MOST_BYTES = {WEIGHTS: 4_000_000_000, CONFIG: 16_000_000}
SECONDS = 10  # that the Hub has to answer
COMMIT = "[0-9a-f]{40}"
# What the client raises where an answer is none that it knows.
_NOT_THE_HUBS = (
    AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip
ELSEWHERE = "fetch it once with a network, or read a file of it with: kmixer import-weights FILE"


@dataclass(frozen=True)
class Fetched:
    """What was fetched of a repository.

    Attributes:
        commit: its revision.
        weights: the file of weights in the cache.
        config: the file of its description, beside it.
        sha256: of the weights.
    """

    commit: str
    weights: Path
    config: Path
    sha256: str


@dataclass(frozen=True)
class _Listing:
    """A repository's commit, and the SHA-256 that the Hub states of its weights, or None."""

    commit: str
    sha256: str | None


def fetch(reference: Reference, catalogued: str | None = None) -> Fetched:
    """Fetch a repository's weights, unless they are in the cache.

    The cache is the Hub's own, which `HF_HOME` and `HF_HUB_CACHE` move. What is asked for by its
    commit and is in the cache needs no network. A download whose connection breaks goes on where it
    stopped; that of a process that was killed begins anew.

    Args:
        reference: the repository, its revision and the SHA-256 that its weights have to have.
        catalogued: the SHA-256 that kmixer knows.

    Raises:
        SettingsError: the Hub's client is not installed.
        DataError: the Hub cannot be reached, has no such repository or no weights in it that are
            read here, or they have another SHA-256.
    """
    check_installed(reference.label, "published weights need")
    with _in_one_line(reference):
        weights = _cached(reference) if re.fullmatch(COMMIT, reference.revision or "") else None
        listing = None if weights else _list(reference)
        if listing:
            weights = _download(reference, listing)
        elif weights is None:
            weights = _cached_instead(reference)
    other = "these are not the weights that were asked for"
    damaged = f"it is damaged; remove {weights.resolve()} and run it again"
    stated = {
        f"as it was given: {other}": reference.sha256,
        f"as kmixer knows it: {other}": catalogued,
        f"as the Hub states it: {damaged}": listing.sha256 if listing else _etag(weights),
    }
    sha256 = _check(reference, weights, stated)
    return Fetched(weights.parent.name, weights, weights.with_name(CONFIG), sha256)


def check_installed(label: str, what: str) -> None:
    """Refuse to begin without the Hub's client.

    Args:
        label: what the error begins with.
        what: that needs it, in words.

    Raises:
        SettingsError: it is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the client is imported
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise SettingsError(f"{label}: {what} huggingface-hub; pip install 'kmixer[hub]'") from None


def _cached(reference: Reference) -> Path | None:
    """Return the weights that the cache has of this revision, if their description is there too."""
    from huggingface_hub import try_to_load_from_cache

    paths = [
        try_to_load_from_cache(reference.name, file, revision=reference.revision)
        for file in (CONFIG, WEIGHTS)
    ]
    found = [Path(path) for path in paths if isinstance(path, str)]
    return found[1] if len(found) == 2 else None


def _cached_instead(reference: Reference) -> Path:
    """Return the cached weights of a branch that cannot be asked for, and say so."""
    weights = _cached(reference)
    if weights is None:
        raise DataError(
            f"{reference.label}: {_no_folder(reference)}{host()} cannot be reached, and the"
            f" weights are not in the cache; {ELSEWHERE}"
        )
    LOGGER.warning(
        "%s: %s cannot be reached; commit %s of it is in the cache, and is used",
        reference.label, host(), weights.parent.name[:12],
    )  # fmt: skip
    return weights


def _list(reference: Reference) -> _Listing | None:
    """Ask for the repository's files; None where the Hub does not answer.

    Raises:
        DataError: there are no weights that are read here, or they are too large.
    """
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = HfApi().model_info(
            reference.name, revision=reference.revision, timeout=SECONDS, files_metadata=True
        )
    except (ConnectionError, httpx2.TransportError):
        return None
    except HfHubHTTPError as error:
        if error.response.status_code >= 500:
            return None
        raise
    files = {file.rfilename: file for file in info.siblings or ()}
    for name, most in MOST_BYTES.items():
        if name not in files:
            raise DataError(f"{reference.label}: holds no {name}, {_instead(name, files)}")
        if (size := files[name].size or 0) > most:
            raise DataError(
                f"{reference.label}: {name} has {size:,} bytes, expected at most {most:,}"
            )
    lfs = files[WEIGHTS].lfs
    return _Listing(str(info.sha), lfs.sha256 if lfs else None)


def _instead(name: str, files: Iterable[str]) -> str:
    pickles = [file for file in files if file.endswith((".bin", ".pth", ".pt", ".ckpt"))]
    if name == WEIGHTS and pickles:
        return f"only {pickles[0]}, a pickle, which could run code and is not read"
    expected = "the weights of an MLP-Mixer as timm names them"
    return f"expected {expected if name == WEIGHTS else 'the description that timm writes'} in it"


def _download(reference: Reference, listing: _Listing) -> Path:
    """Download the files of a listing into the cache; return the weights' path."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    for file in (CONFIG, WEIGHTS):  # by its own revision, which the cache then knows as well
        path = Path(
            hf_hub_download(
                reference.name, file, revision=reference.revision,
                tqdm_class=bounded(MOST_BYTES[file]),
            )
        )  # fmt: skip
        if path.parent.name != listing.commit:
            raise DataError(f"{reference.label}: changed while it was fetched; run it again")
    return path


def _etag(weights: Path) -> str | None:
    """Return the SHA-256 that the Hub stated when a cached file was fetched, or None."""
    name = weights.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else None


def _check(reference: Reference, weights: Path, stated: dict[str, str | None]) -> str:
    """Return the weights' SHA-256, once it is each that is stated."""
    sha256 = checksum(weights)["sha256"]
    for source, expected in stated.items():
        if expected not in (None, sha256):
            raise DataError(
                f"{reference.label}: {WEIGHTS} has the SHA-256 {sha256}, expected {expected},"
                f" {source}"
            )
    return sha256


def _no_folder(reference: Reference) -> str:
    """Return what is said first of a name that could have been meant as a folder."""
    return "" if reference.name.startswith("timm/") else "there is no such folder, and "


def host() -> str:
    """Return the name of the Hub, which HF_ENDPOINT moves."""
    from huggingface_hub import constants

    return urlparse(constants.ENDPOINT).netloc


@contextmanager
def _in_one_line(reference: Reference) -> Iterator[None]:
    """Turn the errors of the Hub's client into one line each."""
    import httpx2
    from huggingface_hub import errors

    try:
        with checked_answers():
            yield
    except KmixerError:
        raise
    except errors.GatedRepoError:
        raise DataError(
            f"{reference.label}: its owner asks for an accepted licence; accept it on {host()},"
            " then log in with: hf auth login"
        ) from None
    except errors.RepositoryNotFoundError:
        near = nearest(reference.name.rpartition("/")[2], known_names())
        raise DataError(
            f"{reference.label}: {_no_folder(reference)}{host()} has no such repository, or it is"
            f" private; names that are known{near}"
        ) from None
    except errors.RevisionNotFoundError:
        raise DataError(f"{reference.label}: {reference.name} has no such revision") from None
    except errors.HFValidationError as error:
        raise SettingsError(
            f"{reference.label}: no name of a repository: {one_line(error)}"
        ) from None
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        raise DataError(f"{reference.label}: {host()} answered {code}; try again later") from None
    except (errors.LocalEntryNotFoundError, httpx2.TransportError, ConnectionError) as error:
        raise DataError(
            f"{reference.label}: the download from {host()} broke off ({type(error).__name__}),"
            " though it was tried again; run it again"
        ) from None
    except OSError as error:
        raise DataError(f"{reference.label}: cannot be cached: {file_problem(error)}") from None
    except _NOT_THE_HUBS as error:
        raise DataError(
            f"{reference.label}: {host()} does not answer as the Hub does: {one_line(error)}"
        ) from None
