"""`kmixer serve`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import Quiet, Terminal

if TYPE_CHECKING:
    from kmixer.files.keys import PublicKey


def serve(
    run: Annotated[Path, typer.Argument(help="A run, or what `export` wrote: folder or file.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8501,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 lets the whole network in.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name to answer to; may be repeated; * for any."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="What requests have to bring; better in KMIXER_TOKEN, which none sees."),
    ] = None,
    ssl_certfile: Annotated[
        Path | None, typer.Option(help="A certificate in PEM, for https.")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option(help="Its private key; default: in the same file.")
    ] = None,
    require_signature: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="A public key; serve only what its owner has signed."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The name in the addresses; default: the run's.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="For the model; default: the runtime's choice.")
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Images that are answered together.")] = 32,
    batch_wait: Annotated[
        float, typer.Option(min=0, max=1000, help="Milliseconds to wait for more images.")
    ] = 0,
    queue: Annotated[
        int, typer.Option(min=1, help="Images, and requests, that may wait; beyond it: 503.")
    ] = 256,
    max_body: Annotated[
        int, typer.Option(min=1, help="Bytes of a request; beyond it the answer is 413.")
    ] = 32_000_000,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Pixels of an image file; larger ones are refused.")
    ] = 50_000_000,
    quiet: Quiet = False,
) -> None:
    """Serve a model over HTTP: TensorFlow Serving's REST calls, and a page to try it.

    It serves an exported file; a run without one is exported to TFLite first.

    Example: kmixer serve saved_models/fmnist-1
    """
    from functools import partial
    from urllib.parse import quote

    from kmixer.serving import selection

    terminal = Terminal(quiet)

    selection.check_served_name(name)
    selection.check_modules()
    from kmixer.serving import access, server

    allowed = access.check_allowed(allow_host or [])
    token = access.check_token(os.environ.get("KMIXER_TOKEN") if token is None else token)
    context = server.tls_context(ssl_certfile, ssl_keyfile)
    key = _public_key(require_signature)
    artifact = selection.find_artifact(run, partial(_export, terminal), key)
    from kmixer.serving.app import build_app

    served_name = selection.served_name(artifact, name)
    with server.listening(host, port, secure=context is not None) as (socket, address):
        bound = socket.getsockname()[0]
        access.warn_of_reach(bound, token is not None, context is not None)
        app = build_app(
            artifact, served_name, threads=threads, max_batch=max_batch, wait=batch_wait / 1e3,
            max_waiting=queue, max_body=max_body, max_pixels=max_pixels,
            access=access.access_to(bound, host, allowed, token),
        )  # fmt: skip
        terminal.say(f"model  {served_name}: {artifact.folder} on {app.state.served.runtime}")
        if key:
            terminal.say(f"signed by the key {key.fingerprint}")
        terminal.say(f"page   {address}/")
        terminal.say(f"REST   {address}/v1/models/{quote(served_name)}:predict")
        terminal.say("Ctrl-C stops")
        server.serve(app, socket, context)


def _public_key(path: Path | None) -> "PublicKey | None":
    """Read the key whose owner has to have signed what is served."""
    from kmixer.files import keys

    if path is None:
        return None
    keys.check_installed()
    return keys.read_public_key(path)


def _export(terminal: Terminal, run: Path) -> Path:
    """Export a run to TFLite, in a temporary folder if its own is read-only; return the folder."""
    import atexit
    import shutil
    import tempfile

    from kmixer.files import atomic
    from kmixer.serving.selection import EXPORTS

    from .subprocesses import export_to_tflite

    out, where = run / EXPORTS, ""
    if atomic.is_read_only(out):
        out = Path(tempfile.mkdtemp(prefix="kmixer-"))
        atexit.register(shutil.rmtree, out, ignore_errors=True)
        where = f", in {out} until the server stops, since {run} is read-only"
    terminal.say(f"{run} has no export that this machine can open; exporting it to TFLite{where}")
    return export_to_tflite(run, out)
