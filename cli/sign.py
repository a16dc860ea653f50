"""`kmixer sign`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .terminal import Json, Quiet, Terminal

PASSWORD = "KMIXER_KEY_PASSWORD"


def sign(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Finished runs, or what `export` wrote: folders.", show_default=False),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Your private key: an elliptic curve's, in PEM.")
    ] = None,
    new_key: Annotated[
        Path | None,
        typer.Option(help="Make a pair of keys first: this file, and one that ends in .pub."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Sign runs and exports with a key of your own: write model.sig into each folder.

    Of a run config.yaml, labels.txt, model.keras and metrics.json are signed; of an export its
    manifest and all that it lists. A run's exports are folders of their own: name them too.
    A key's password is taken from KMIXER_KEY_PASSWORD, or asked for. No network is needed.

    Example: kmixer sign saved_models/fmnist-1 saved_models/fmnist-1/export/* --key mine.pem
    """
    from kmixer.errors import SettingsError
    from kmixer.files import keys

    terminal = Terminal(quiet, as_json)
    if (key is None) == (new_key is None) or not (folders or new_key):
        raise SettingsError(
            "expected FOLDERS and --key FILE, or --new-key FILE, which makes the key"
        )
    keys.check_installed()
    if new_key:
        key, public = keys.write_new_key(new_key, _new_password())
        terminal.say(f"in {key}: the private key, which signs; keep it to yourself")
        terminal.say(f"in {public}: the public key, which others check with; give it to them")
    assert key is not None
    signer = keys.read_private_key(key, lambda: _password(f"password of {key}"))
    from kmixer.publishing.signing import open_folder, sign_folder

    results = []
    for opened in [open_folder(folder) for folder in folders or ()]:
        names = sign_folder(opened, signer)
        results.append({"folder": str(opened.folder), "files": names})
        terminal.say(f"signed {opened.folder}: {', '.join(names)}")
    terminal.result({"key": signer.public.fingerprint, "signed": results})


def _password(prompt: str, confirm: bool = False) -> str | None:
    """Return a password of the environment, or one that is typed, or None."""
    password = os.environ.get(PASSWORD)
    if password is not None or sys.stdin is None or not sys.stdin.isatty():
        return password
    try:
        return typer.prompt(
            prompt, default="", show_default=False, hide_input=True, err=True,
            confirmation_prompt=confirm,
        )  # fmt: skip
    except typer.Abort:  # Ctrl-C
        raise KeyboardInterrupt from None


def _new_password() -> str | None:
    return _password("a password for the new key (empty: none)", confirm=True)
