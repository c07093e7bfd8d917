"""``evenhand report``: rewrite the report of a run, print it, sign it, check it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import OpenReport, TitleBlockFile, examples, finish
from evenhand.bench.errors import EvenhandError

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand report runs/mini-quick",
        "evenhand report runs/mini-quick --open",
        "evenhand report runs/mini-quick --title-block audit.toml --pdf",
        "evenhand report runs/mini-quick --sign-with minisign.key",
        "evenhand report runs/mini-quick --verify --public-key minisign.pub",
    )
)
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run or audit.")],
    open_report: OpenReport = False,
    title_block: TitleBlockFile = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also print report.pdf, with a Chromium.")] = False,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Write manifest.json: the SHA-256 of every file of the run.")
    ] = False,
    sign_with: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Write the manifest and sign it with this secret key of minisign."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing; check all files against the manifest.")
    ] = False,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="With --verify: also check the signature with this public key."),
    ] = None,
) -> None:
    """Rewrite the report of a run from its stored results."""
    writing = {"--open": open_report, "--title-block": title_block, "--pdf": pdf}
    writing |= {"--manifest": manifest, "--sign-with": sign_with}
    _check_options(verify=verify, public_key=public_key, writing=[name for name in writing if writing[name]])
    if verify:
        _verify(run, public_key)
        return
    from evenhand.bench.storage.files import locked

    # A folder that does not exist is refused where it is read; a lock would create it.
    with locked(run) if run.is_dir() else nullcontext():
        if manifest or sign_with:
            _check_files(run)
        _write(run, title_block=title_block, open_report=open_report, pdf=pdf)
        if manifest or sign_with:
            _write_manifest(run, sign_with)


def _write(run: Path, *, title_block: Path | None, open_report: bool, pdf: bool) -> None:
    from evenhand.bench.report import write_report

    path = write_report(run, title_block=title_block)
    finish(path, quiet=False, open_report=open_report)
    if pdf:
        from evenhand.bench.pdf import write_pdf

        typer.echo(f"pdf: {write_pdf(path)}")


def _check_files(run: Path) -> None:
    """Check what no report shows, so that nobody signs damaged files unseen."""
    from evenhand.bench.storage.fits import check_interventions
    from evenhand.bench.storage.stored_run import load_run

    check_interventions(run, [result.spec.method for result in load_run(run).results])


def _write_manifest(run: Path, key: Path | None) -> None:
    from evenhand.bench.storage.manifest import write_manifest

    written = write_manifest(run)
    typer.echo(f"manifest: {written}")
    if key is not None:
        typer.echo(f"signature: {_sign(written, key)}")


def _check_options(*, verify: bool, public_key: Path | None, writing: Sequence[str]) -> None:
    """Check that options are not ignored.

    Raises:
        EvenhandError: One is.
    """
    if verify and writing:
        raise EvenhandError(
            f"--verify writes nothing, so it cannot be combined with {writing[0]}; give one of them"
        )
    if public_key is not None and not verify:
        raise EvenhandError("--public-key checks a signature only with --verify; add --verify")


def _sign(manifest: Path, key: Path) -> Path:
    from evenhand.bench.storage.manifest import has_password, sign

    password = typer.prompt(f"Password of {key}", hide_input=True, err=True) if has_password(key) else None
    return sign(manifest, key=key, password=password)


def _verify(run: Path, public_key: Path | None) -> None:
    from evenhand.bench.storage.manifest import MANIFEST_FILE, SIGNATURE_FILE, check_manifest, check_signature

    files = check_manifest(run)
    if public_key is not None:
        check_signature(run / MANIFEST_FILE, key=public_key)
    typer.echo(f"{files} files match {MANIFEST_FILE}")
    if public_key is not None:
        typer.echo(f"the signature is valid for {public_key}")
    elif (run / SIGNATURE_FILE).is_file():
        typer.echo("the signature was not checked; give --public-key", err=True)
