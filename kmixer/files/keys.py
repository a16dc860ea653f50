"""Keys to sign with and to check with: elliptic curves in PEM files, as OpenSSL writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, file_problem
from .bounded import read_bounded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

MOST_BYTES = 100_000  # of a key's file; one of P-521 has 400
CURVES = ("secp256r1", "secp384r1", "secp521r1")  # which model-signing takes
EXPECTED = (
    "one of an elliptic curve (P-256, P-384, P-521) in PEM; kmixer sign --new-key FILE makes a pair"
)


@dataclass(frozen=True)
class PublicKey:
    """A key that signatures are checked with.

    Attributes:
        pem: the key, in the one form in which its fingerprint is taken.
    """

    pem: bytes

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key, as hex, by which a signature names it."""
        return sha256(self.pem).hexdigest()


@dataclass(frozen=True)
class PrivateKey:
    """A key to sign with.

    Attributes:
        path: its file.
        password: of the file; None: it has none.
        public: the key that belongs to it.
    """

    path: Path
    password: bytes | None
    public: PublicKey


def check_installed() -> None:
    """Refuse to begin without the packages that signing and checking need.

    Raises:
        SettingsError: they are not installed.
    """
    try:
        import model_signing.signing  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"signatures need {error.name}; install with: pip install 'kmixer[sign]'"
        ) from None


def read_public_key(path: str | Path) -> PublicKey:
    """Read a public key.

    Raises:
        SettingsError: it cannot be read, is none, or is of a kind that signatures are not made
            with.
    """
    from cryptography.hazmat.primitives import serialization

    content = _read(path)
    if b"PRIVATE KEY-----" in content:
        raise SettingsError(
            f"{path}: a private key, which stays with its owner; expected the public one"
        )
    key = _loaded(path, "public", lambda: serialization.load_pem_public_key(content))
    return _public(path, key)


def read_private_key(path: str | Path, ask: Callable[[], str | None]) -> PrivateKey:
    """Read a private key.

    Args:
        path: its file.
        ask: called for the password, if it has one; None: nobody knows.

    Raises:
        SettingsError: it cannot be read, is none, is of a kind that is not signed with, or the
            password is missing or another one.
    """
    from cryptography.hazmat.primitives import serialization

    content = _read(path)
    if b"PUBLIC KEY-----" in content:
        raise SettingsError(f"{path}: a public key, expected the private one, which signs")
    password: bytes | None = None

    def load() -> Any:
        return serialization.load_pem_private_key(content, password)

    try:
        key = load()
    except TypeError:  # it has a password
        password = (ask() or "").encode()
        if not password:
            raise SettingsError(
                f"{path}: has a password; set KMIXER_KEY_PASSWORD, or type it at a terminal"
            ) from None
        key = _loaded(path, "private", load, ", or under another password")
    except Exception:  # the one line says what was expected
        key = _loaded(path, "private", load)
    return PrivateKey(Path(path), password, _public(path, key.public_key()))


def write_new_key(path: str | Path, password: str | None) -> tuple[Path, Path]:
    """Make a key of the curve P-256: the private one at `path`, the public one beside it.

    Args:
        path: of the private key; its file can be read by nobody else. The public key's has the
            ending `.pub`.
        password: that the private key is kept under; None or empty: none.

    Returns:
        (the private key's file, the public one's).

    Raises:
        SettingsError: one of the files is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    encryption = (
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption)
    paths = Path(path), Path(path).with_suffix(".pub")
    if paths[0] == paths[1]:
        raise SettingsError(f"{path}: the public key would have this name; expected another one")
    _write_new(paths[0], private, 0o600)
    try:
        _write_new(paths[1], _pem_of(key.public_key()), 0o644)
    except SettingsError:
        paths[0].unlink()
        raise
    return paths


def _read(path: str | Path) -> bytes:
    try:
        return read_bounded(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = file_problem(error) if isinstance(error, OSError) else str(error)
        raise SettingsError(f"{path}: the key cannot be read: {reason}") from None


def _loaded(path: str | Path, kind: str, load: Callable[[], Any], or_what: str = "") -> Any:
    """Return what a function loads; whatever is wrong with the key is one line."""
    try:
        return load()
    except Exception:  # of damaged keys, cryptography raises several kinds
        raise SettingsError(
            f"{path}: no {kind} key, damaged{or_what}; expected {EXPECTED}"
        ) from None


def _public(path: str | Path, key: Any) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        name = getattr(getattr(key, "curve", None), "name", "") or type(key).__name__
        raise SettingsError(f"{path}: received a key of the kind {name}, expected {EXPECTED}")
    return PublicKey(_pem_of(key))


def _pem_of(key: ec.EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is not there yet, and that nobody can read before it has its mode."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise SettingsError(f"{path}: already there; a key is never overwritten") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{path}: cannot be written: {reason}") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise SettingsError(f"{path}: cannot be written: {file_problem(error)}") from None
