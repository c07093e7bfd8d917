"""``evenhand cache``: share images, labels and fits of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.bench.cache import SAMPLE
from evenhand.bench.cli.shared import Json, OtherModel, OtherSettings, SuiteName, examples
from evenhand.bench.registry.method_spec import MAX_FITS

if TYPE_CHECKING:
    from evenhand.bench.cache.pull import Pulled
    from evenhand.bench.cache.push import Pushed

app = typer.Typer(
    name="cache",
    help="Share images, labels and fits of runs, so that others compute only their own method.",
    epilog=examples(
        "evenhand cache push shared/cache --run runs/mini",
        "evenhand cache pull shared/cache mini --method base",
    ),
)

Place = Annotated[
    str, typer.Argument(metavar="DIR_OR_HUB", help="A folder, or hf://datasets/OWNER/NAME on the hub.")
]

Check = Annotated[
    int, typer.Option(min=1, metavar="N", help="Images of every method that are drawn and judged again.")
]

OnlineCache = Annotated[
    bool,
    typer.Option("--online/--offline", help="Allow using the hub: for the cache, models and weights."),
]


@app.command(
    epilog=examples(
        "evenhand cache push shared/cache --run runs/mini",
        "evenhand cache push hf://datasets/org/name --run runs/mini --online",
    )
)
def push(
    place: Place,
    run: Annotated[Path, typer.Option(metavar="RUN", help="Folder of a finished run.")],
    check: Check = SAMPLE,
    online: OnlineCache = False,
    as_json: Json = False,
) -> None:
    """Copy the images, labels and fits of a run into a cache.

    Only methods that are part of Evenhand are shared. What the cache has already is left alone. A sample is
    drawn and judged again first: what cannot be repeated here is not shared.
    """
    from evenhand.bench.cache.push import push_cache
    from evenhand.bench.fetching import hub
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    _write(push_cache(place, run=run, check=check, progress=Progress(quiet=as_json)), "pushed to", as_json)


@app.command(
    epilog=examples(
        "evenhand cache pull shared/cache mini",
        "evenhand cache pull shared/cache mini --method base --run runs/mine",
        "evenhand cache pull hf://datasets/org/name mini --online",
    )
)
def pull(
    place: Place,
    suite: SuiteName = "mini-quick",
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME[:k=v,…]",
            help="A method of the run, besides the baseline; repeatable.",
            show_default="the suite's methods",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Folder of the run, which may be new.", show_default="runs/SUITE"),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="The same as for evenhand run; 0 for all prompts.")
    ] = 0,
    fits: Annotated[
        int,
        typer.Option(
            min=0, max=MAX_FITS, metavar="N", help="The same as for evenhand run; 0 for the suite's number."
        ),
    ] = 0,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Also take the images of a run until decided.")
    ] = False,
    model: OtherModel = "",
    settings: OtherSettings = None,
    check: Check = SAMPLE,
    online: OnlineCache = False,
    as_json: Json = False,
) -> None:
    """Take from a cache what a run of a suite would compute; afterwards, evenhand run computes the rest.

    Nothing is trusted: every file must match its digest, and a random sample is drawn and judged here. If one
    image or label differs, nothing is taken. A fit cannot be proven without fitting again, so results say
    which fits came from a cache, and the leaderboard does not accept them.
    """
    from evenhand.bench.cache.pull import pull_cache
    from evenhand.bench.fetching import hub
    from evenhand.bench.stages.progress import Progress
    from evenhand.bench.suites.variant import variant

    hub.permit(online)
    pulled = pull_cache(
        place,
        variant(suite, model=model, settings=settings or ()),
        methods=methods,
        run=run,
        limit=limit,
        fits=fits,
        until_decided=until_decided,
        check=check,
        progress=Progress(quiet=as_json),
    )
    _write(pulled, f"pulled into {pulled.run} from", as_json)


def _write(outcome: Pushed | Pulled, what: str, as_json: bool) -> None:
    """Write what was copied, as JSON or in one line."""
    from evenhand.bench.cli.console import write_json
    from evenhand.bench.results.text import plural

    if as_json:
        proofs = [
            {"method": one.method, "images": one.images, "identical": one.identical, "furthest": one.furthest}
            for one in outcome.proofs
        ]
        write_json({**vars(outcome), "proofs": proofs})
        return
    fits = f" ({', '.join(outcome.fits)})" if outcome.fits else ""
    typer.echo(
        f"{what} {outcome.cache}: {plural(outcome.images, 'image')}, {plural(outcome.labels, 'label')}, "
        f"{plural(len(outcome.fits), 'fit')}{fits}"
    )
