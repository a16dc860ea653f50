"""A signature over files, made and checked with a key of one's own, as OpenSSF Model Signing does.

The signature names each file and its SHA-256. What is signed and what is checked are bytes in
memory: whatever happens to the files meanwhile, the verdict is on what was read. The library takes
folders, and is given one that no other user can reach. Nothing asks a network.

The file is a Sigstore bundle around an in-toto statement (https://sigstore.dev, DSSE), which
`model_signing verify key` reads as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Base64Bytes, BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from ..errors import KmixerWarning, RunError, few
from .keys import PrivateKey, PublicKey
from .private_folder import as_folder

SIGNATURE_FILE = "model.sig"
MOST_BYTES = 4_000_000  # of a signature; one of a hundred files has 20,000


class _Key(BaseModel):
    hint: str


class _Material(BaseModel, alias_generator=to_camel):
    public_key: _Key


class _Envelope(BaseModel):
    payload: Base64Bytes


class _Bundle(BaseModel, alias_generator=to_camel):
    verification_material: _Material
    dsse_envelope: _Envelope


class _Resource(BaseModel):
    name: str
    algorithm: Literal["sha256"]
    digest: str


class _Predicate(BaseModel):
    resources: list[_Resource]


class _Statement(BaseModel):
    predicate: _Predicate


def sign(files: Mapping[str, bytes], name: str, key: PrivateKey) -> str:
    """Return a signature over files, as text.

    Args:
        files: the content of each, by its name.
        name: what they are together; it is written down, and means nothing.
        key: to sign with.
    """
    from model_signing import hashing, signing

    everything = hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)
    # The library says text, and hands it to one that takes bytes.
    signer = signing.Config().use_elliptic_key_signer(
        private_key=key.path,
        password=key.password,  # type: ignore[arg-type]
    )
    with as_folder({f"{name}/{file}": content for file, content in files.items()}) as folder:
        path = Path(folder, SIGNATURE_FILE)
        signer.set_hashing_config(everything).sign(Path(folder, name), path)
        return path.read_text(encoding="utf-8")


def remove(folder: Path) -> None:
    """Remove the signature of a folder whose files are about to change, and say so."""
    path = folder / SIGNATURE_FILE
    if path.is_file():
        path.unlink()
        warn_of_loss(folder)


def warn_of_loss(folder: Path) -> None:
    """Say that a folder has lost its signature."""
    warnings.warn(
        f"{folder}: its signature was of the files before, and is removed; sign it again",
        KmixerWarning,
        stacklevel=3,
    )


def signed_with(signature: bytes, whose: str | Path) -> str:
    """Return the fingerprint of the key that a signature names; it may name any.

    Args:
        signature: the content of its file.
        whose: the folder, for the error.

    Raises:
        RunError: it is no signature that is read here.
    """
    return _read(signature, whose)[0]


def check(files: Mapping[str, bytes], signature: bytes, key: PublicKey, whose: str | Path) -> None:
    """Refuse files that are not those which the owner of a key has signed.

    Args:
        files: the content of each, by its name: all of them, and no others, have to be signed.
        signature: the content of its file.
        key: the owner's.
        whose: the folder, for the error.

    Raises:
        RunError: another key signed, a file was changed, added or removed since, or the signature
            is none.
    """
    from model_signing import verifying

    fingerprint, signed = _read(signature, whose)
    if fingerprint != key.fingerprint:
        raise RunError(
            f"{whose}: {SIGNATURE_FILE} is of the key {fingerprint[:12]}…, expected one of"
            f" {key.fingerprint[:12]}…"
        )
    _compare(signed, {name: sha256(content).hexdigest() for name, content in files.items()}, whose)
    checker = verifying.Config()
    with as_folder(files) as folder, as_folder({"s": signature, "k": key.pem}) as beside:
        try:
            checker.use_elliptic_key_verifier(public_key=Path(beside, "k"))
            checker.verify(Path(folder), Path(beside, "s"))
        except Exception:  # of what is no signature, the library raises several kinds
            raise RunError(
                f"{whose}: {SIGNATURE_FILE} is not valid: it was not made with the key that it"
                " names, or was changed"
            ) from None


def _read(signature: bytes, whose: str | Path) -> tuple[str, dict[str, str]]:
    """Return the key that a signature names, and the SHA-256 of each file by its name."""
    try:
        bundle = _Bundle.model_validate_json(signature)
        statement = _Statement.model_validate_json(bundle.dsse_envelope.payload)
    except ValidationError:
        raise RunError(
            f"{whose}: {SIGNATURE_FILE} is no signature as kmixer sign writes it: damaged, or of"
            " another program"
        ) from None
    signed = {file.name: file.digest for file in statement.predicate.resources}
    return bundle.verification_material.public_key.hint, signed


def _compare(signed: Mapping[str, str], found: Mapping[str, str], whose: str | Path) -> None:
    """Refuse files that a signature does not name, or not as they are."""
    problems = {
        "changed since it was signed": [
            name for name in signed if name in found and found[name] != signed[name]
        ],
        "not signed": [name for name in found if name not in signed],
        "signed, and not there": [name for name in signed if name not in found],
    }
    for problem, names in problems.items():
        if names:
            raise RunError(f"{whose}: {few(names)}: {problem}")
