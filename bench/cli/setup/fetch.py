"""``evenhand fetch``: download the model and the weights that a suite or judge needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.bench.cli.shared import Json, OtherModel, OtherSettings, examples
from evenhand.bench.errors import EvenhandError

if TYPE_CHECKING:
    from evenhand.bench.fetching.facts import SourceFacts
    from evenhand.bench.fetching.fetch import Fetched
    from evenhand.metrics.vision.weight_source import WeightSource

app = typer.Typer()

COLUMNS = ("", "needed as", "files from", "size", "licence", "SHA-256")


@app.command(
    epilog=examples(
        "evenhand fetch winobias-gender --dry-run",
        "evenhand fetch winobias-gender",
        "evenhand fetch gender-fast --model org/my-model",
        "evenhand fetch deepface",
        "evenhand fetch fairface --weights ~/Downloads",
        "evenhand fetch CompVis/stable-diffusion-v1-4",
    )
)
def fetch(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A suite or its TOML file, a judge, or a model."),
    ],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME[:k=v,…]",
            help="Of a suite: a method of the run; repeatable.",
            show_default="the suite's methods",
        ),
    ] = None,
    model: OtherModel = "",
    settings: OtherSettings = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with files downloaded by hand, which are put into place."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what is missing, with sizes; download no weights.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Download the model and the weights of judges and scorer that are missing.

    Lists every file with its source, size, licence and checksum. Says what only you can place, and from
    where. The exit code is 2 if something is still missing.
    """
    from evenhand.bench.cli.console import write_json
    from evenhand.bench.fetching import hub
    from evenhand.bench.fetching.assets import assets_of, assets_of_suite
    from evenhand.bench.fetching.fetch import fetch, look
    from evenhand.bench.models.loading import quiet_loaders
    from evenhand.bench.suites.variant import variant

    hub.permit(True)
    with quiet_loaders():
        if model or settings:
            assets = assets_of_suite(variant(name, model=model, settings=settings or ()), methods)
        else:
            assets = assets_of(name, methods)
        found = list(look(assets) if dry_run else fetch(assets, weights=weights))
    if as_json:
        write_json([row for one in found for row in _rows(one)])
    else:
        _write(found)
    missing = [f"{one.asset.kind} {one.asset.name}" for one in found if one.state == "missing"]
    if missing and not dry_run:
        raise EvenhandError(f"not fetched: {', '.join(missing)}; the reasons are above")


def _write(found: Sequence[Fetched]) -> None:
    from evenhand.bench.cli.console import write_table
    from evenhand.bench.results.text import size

    rows = [row for one in found for row in _rows(one)]
    write_table(COLUMNS, [_cells(row) for row in rows])
    for one in found:
        if one.detail:
            typer.echo(f"{one.asset.kind} {one.asset.name}: {one.detail}")
    total = sum(row["bytes"] for row in rows if row["state"] == "missing")
    if total:
        typer.echo(f"to download: {size(total)}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from evenhand.bench.results.text import size

    taken = size(row["bytes"]) if row["bytes"] else ""
    return row["state"], row["needed_as"], row["source"], taken, row["licence"], _digests(row["files"])


def _digests(files: Sequence[dict[str, Any]]) -> str:
    """The digest of a single file, or how many the JSON lists."""
    known = [file["sha256"] for file in files if file["sha256"]]
    if len(known) > 1:
        return f"{len(known)} with --json"
    return known[0] if known else ""


def _rows(one: Fetched) -> Iterator[dict[str, Any]]:
    """One row for every source of an asset."""
    needed = f"{one.asset.kind} {one.asset.name}"
    if not one.asset.sources:
        yield _row(one, needed, "in the package", "", None)
    for place, source in enumerate(one.asset.sources):
        facts = one.facts[place] if place < len(one.facts) else None
        yield _row(one, needed, _origin(source), source.licence, facts)


def _origin(source: WeightSource) -> str:
    if source.package:
        return f"package {source.package}"
    if source.name is None:
        return source.address
    return f"{source.name.page} {source.files[0]}" if len(source.files) == 1 else source.name.page


def _row(one: Fetched, needed: str, origin: str, licence: str, facts: SourceFacts | None) -> dict[str, Any]:
    files = [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in facts.files] if facts else []
    return {
        "state": one.state,
        "needed_as": needed,
        "source": origin,
        "bytes": facts.bytes if facts else 0,
        "licence": facts.licence if facts else licence,
        "files": files,
        "detail": one.detail,
    }
