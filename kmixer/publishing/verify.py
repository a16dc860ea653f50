"""Verify a run or an export: its signature, its checksums, and its proof run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import KmixerError, describe, few
from ..exporting.artifact import Artifact
from ..exporting.signed import check_nothing_beside, export_contents, read_signature
from ..files import signature
from ..files.keys import PublicKey
from ..files.private_folder import as_folder
from ..files.signature import SIGNATURE_FILE
from ..runs.run import Run, load_run
from .check import CHECKSUMS, PROOF, SIGNATURE, Check
from .prove_export import prove_export
from .prove_run import prove_run
from .signing import SIGNED, run_contents


def verify(
    opened: Artifact | Run,
    key: PublicKey | None,
    *,
    data_dir: str | None = None,
    begin: Callable[[Run], object],
    on_step: Callable[[str], object] = lambda message: None,
) -> list[Check]:
    """Check a run or an export, each step only where nothing speaks against the ones before it.

    The files are read once. The signature is checked over what was read before any of it is
    opened, and what is opened later is that.

    Args:
        opened: what `open_folder` returned.
        key: whose signature it has to have; None: no signature is asked for.
        data_dir: where prepared data sets lie; None: as for the run.
        begin: called with the run before Keras is needed; it chooses the backend.
        on_step: called with the name of each step as it begins.

    Returns:
        The signature, the checksums and the proof.
    """
    on_step("reading the files")
    try:
        files = _contents(opened)
    except KmixerError as error:
        return _all_of([Check.failed(CHECKSUMS, describe(error))])
    checks = [_attempt(SIGNATURE, lambda: _check_signature(opened, files, key))]
    if checks[0].result == "failed":
        return _all_of(checks)
    with as_folder(files) as folder:
        copy = Path(folder)
        checks.append(_attempt(CHECKSUMS, lambda: _check_sums(opened, files, copy)))
        if checks[1].result != "failed":
            signed = checks[0].result == "ok"
            checks.append(
                _attempt(PROOF, lambda: _prove(opened, copy, data_dir, begin, on_step, signed))
            )
        # in words of the folder that the user knows
        checks = [replace(c, detail=c.detail.replace(folder, str(opened.folder))) for c in checks]
    return _all_of(checks)


def _contents(opened: Artifact | Run) -> Mapping[str, bytes]:
    if isinstance(opened, Artifact):
        check_nothing_beside(opened)
        return export_contents(opened)
    return run_contents(opened.folder)


def _attempt(what: str, check: Callable[[], Check]) -> Check:
    """Return a check; an error is a failed one."""
    try:
        return check()
    except KmixerError as error:
        return Check.failed(what, describe(error))


def _check_signature(
    opened: Artifact | Run, files: Mapping[str, bytes], key: PublicKey | None
) -> Check:
    folder = opened.folder
    if key is None:
        if not (folder / SIGNATURE_FILE).exists():
            return Check.skipped(SIGNATURE, "it is not signed")
        named = signature.signed_with(read_signature(folder), folder)
        return Check.skipped(SIGNATURE, f"signed by the key {named[:12]}…; --key FILE checks that")
    signed = {n: c for n, c in files.items() if isinstance(opened, Artifact) or n in SIGNED}
    signature.check(signed, read_signature(folder), key, folder)
    names = few(sorted(signed), most=10)
    return Check.ok(SIGNATURE, f"of the key {key.fingerprint[:12]}… over {names}")


def _check_sums(opened: Artifact | Run, files: Mapping[str, bytes], copy: Path) -> Check:
    if isinstance(opened, Artifact):  # compared when they were read
        return Check.ok(CHECKSUMS, f"{len(files) - 1} files are those of manifest.json")
    run = load_run(copy)
    run.check_finished()
    run.check_model()
    if run.imported:
        return Check.skipped(CHECKSUMS, "imported weights record none")
    if "content_sha256" not in run.metrics:
        return Check.skipped(CHECKSUMS, "the run is of a version that recorded none")
    named = [name for name in run.metrics["content_sha256"] if name in files]
    return Check.ok(CHECKSUMS, f"metrics.json belongs to {few(named, most=10)}")


def _prove(
    opened: Artifact | Run,
    copy: Path,
    data_dir: str | None,
    begin: Callable[[Run], object],
    on_step: Callable[[str], object],
    signed: bool,
) -> Check:
    if isinstance(opened, Artifact):
        return prove_export(opened, copy, data_dir, begin, on_step, signed=signed)
    return prove_run(load_run(copy), data_dir, begin, on_step)


def _all_of(checks: list[Check]) -> list[Check]:
    """Return one check of each kind; those that were not come to say why."""
    made = {check.what: check for check in checks}
    failed = next((check.what for check in checks if check.result == "failed"), "")
    return [
        made.get(what, Check.skipped(what, f"the {failed} failed"))
        for what in (SIGNATURE, CHECKSUMS, PROOF)
    ]
