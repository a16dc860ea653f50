"""Upload a folder to the Hugging Face Hub, in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DataError, SettingsError, one_line
from ..files.signature import SIGNATURE_FILE
from ..runs.starts.answers import checked_answers
from ..runs.starts.hub import check_installed, host
from .hub_folder import EXPORTS


def check_uploadable(repository: str) -> None:
    """Refuse before anything is written what surely cannot be uploaded.

    Args:
        repository: its name on the Hub.

    Raises:
        SettingsError: it is no `USER/NAME`, the Hub's client is not installed, or nobody is logged
            in.
    """
    check_installed(repository, "an upload needs")
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise SettingsError(f"--to: received {repository[:100]!r}: {one_line(error)}") from None
    if repository.count("/") != 1:
        raise SettingsError(f"--to: received {repository[:100]!r}, expected USER/NAME")
    if not get_token():
        raise SettingsError(
            f"--to: {host()} needs a token that may write: log in with hf auth login, or set"
            " HF_TOKEN"
        )


def upload(folder: Path, repository: str, private: bool = False) -> str:
    """Upload a folder as a model's repository, which is made if need be.

    Files are added and replaced in one commit, which also removes exports and signatures that an
    earlier one left there and the folder no longer holds; others stay.

    Args:
        folder: what `write_hub_folder` wrote.
        repository: its name on the Hub, `USER/NAME`.
        private: whether a repository that is made is shown to its owner only.

    Returns:
        The address of the repository.

    Raises:
        DataError: the Hub cannot be reached, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    hub = HfApi()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    with _in_one_line(repository):
        address = hub.create_repo(repository, private=private or None, exist_ok=True)
        left = [name for name in hub.list_repo_files(repository) if _is_ours(name)]
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationDelete(name) for name in left if name not in names
        ]
        operations += [
            CommitOperationAdd(name, str(path)) for name, path in zip(names, paths, strict=True)
        ]
        hub.create_commit(repository, operations, commit_message="kmixer push")
    return str(address)


def _is_ours(name: str) -> bool:
    return name == SIGNATURE_FILE or name.startswith(f"{EXPORTS}/")


@contextmanager
def _in_one_line(repository: str) -> Iterator[None]:
    """Turn the errors of the Hub's client into one line each."""
    import httpx2
    from huggingface_hub import errors

    kept = "the folder is written; nothing was uploaded"
    try:
        with checked_answers():
            yield
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        why = {
            401: "the token is not valid: log in again with hf auth login",
            403: "the token may not write there",
            404: "there is no such user or organisation, or the token may not write there",
        }.get(code, one_line(error.server_message or "try again later"))
        raise DataError(f"{repository}: {host()} answered {code}: {why}; {kept}") from None
    except (httpx2.TransportError, ConnectionError) as error:
        raise DataError(
            f"{repository}: {host()} cannot be reached ({type(error).__name__}); {kept}"
        ) from None
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{repository}: {host()} does not answer as the Hub does: {one_line(error)}; {kept}"
        ) from None
