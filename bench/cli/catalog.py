"""``evenhand list`` and ``evenhand show``: what is registered."""

from __future__ import annotations

from typing import Annotated

import typer

from evenhand.bench.catalog import LISTINGS
from evenhand.bench.cli.shared import Json, examples
from evenhand.bench.results.text import listing as in_words

CHOICES = in_words(list(LISTINGS), joint="or")
"""What can be listed, for the help."""

app = typer.Typer()


@app.command("list", epilog=examples("evenhand list methods", "evenhand list suites --json"))
def list_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {CHOICES}.")],
    as_json: Json = False,
) -> None:
    """List all methods, judges, metrics, suites, prompt sets or models, built in or from packages."""
    from evenhand.bench.catalog import cards, listing
    from evenhand.bench.cli.console import write_json, write_table

    columns = listing(kind).columns
    found = cards(kind)
    if as_json:
        write_json(found)
    else:
        write_table(columns, [[card[column] for column in columns] for card in found if "error" not in card])
        for card in found:
            if "error" in card:
                typer.echo(f"{card['name']}: {card['error']}", err=True)


@app.command(epilog=examples("evenhand show mist", "evenhand show mini-quick --json"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Any name in the lists of {CHOICES}.")],
    as_json: Json = False,
) -> None:
    """Show the card of NAME: what it is, its parameters, source and license.

    If several kinds have an entry of this name, all of their cards are shown.
    """
    from evenhand.bench.catalog import find
    from evenhand.bench.cli.console import write_card, write_json

    found = find(name)
    if as_json:
        write_json(found)
        return
    for card in found:
        write_card(card)
        typer.echo()
