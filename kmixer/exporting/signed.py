"""What of an export is signed: its manifest and every file that the manifest lists."""

import json
from pathlib import Path

from ..errors import RunError
from ..files import signature
from ..files.keys import PublicKey
from ..files.signature import SIGNATURE_FILE
from . import contents
from .artifact import Artifact
from .manifest import LONGEST, MANIFEST


def read_signature(folder: Path) -> bytes:
    """Return the content of a folder's signature.

    Raises:
        RunError: there is none, or it is no plain file.
    """
    if not (folder / SIGNATURE_FILE).exists():
        raise RunError(
            f"{folder}: not signed: it holds no {SIGNATURE_FILE}; its owner signs it with: kmixer"
            f" sign {folder} --key KEY"
        )
    return contents.read_plainly(folder, SIGNATURE_FILE, signature.MOST_BYTES)


def export_contents(artifact: Artifact) -> dict[str, bytes]:
    """Return the content of an export's manifest and of the files that it lists, by their names.

    Raises:
        RunError: a file is missing or is not the listed one, or the manifest is no longer the one
            that was read.
    """
    folder, manifest = artifact.folder, artifact.manifest
    content = contents.read_plainly(folder, MANIFEST, LONGEST)
    if not _is(content, manifest):
        raise RunError(f"{folder}: {MANIFEST} changed while it was read; try again")
    return {MANIFEST: content} | contents.read_listed(folder, manifest["files"])


def check_nothing_beside(artifact: Artifact) -> None:
    """Refuse an export that holds more than its manifest lists, which no signature is over.

    Raises:
        RunError: see above, of whatever kind it is.
    """
    folder = artifact.folder
    for name in contents.unlisted_files(folder, artifact.manifest["files"], notes=True):
        raise RunError(
            f"{folder}: {name!r:.200} is not listed in {MANIFEST}, and so in no signature; remove"
            " it, or move it to another place"
        )


def check_signed(artifact: Artifact, key: PublicKey) -> None:
    """Refuse an export that the owner of a key has not signed as it is.

    The manifest of the `Artifact`, which `Artifact.open` holds the files against, is the signed
    one: what it opens later is what was signed, whatever happens to the folder.

    Raises:
        RunError: see above.
    """
    check_nothing_beside(artifact)
    content = read_signature(artifact.folder)
    signature.check(export_contents(artifact), content, key, artifact.folder)


def _is(content: bytes, manifest: object) -> bool:
    try:
        return bool(json.loads(content) == manifest)
    except (ValueError, RecursionError):
        return False
