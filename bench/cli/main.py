"""The command line: thin commands that call the benchmark's functions.

Every import of the engine is inside its command, so that ``evenhand --help`` loads no torch.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from evenhand.bench.cli import annotate, audit, board, calibrate, compare, power
from evenhand.bench.cli.shared import Engine, Json, Online, Workers, write_run
from evenhand.bench.cli.shared import examples as _examples
from evenhand.bench.errors import EvenhandError, one_line

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

KINDS = "methods, judges, metrics, suites, prompts or models"


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode="rich")
method_app = typer.Typer(
    name="method",
    help="Take fitted methods out, as models for diffusers.",
    epilog=_examples("evenhand method export mist --run runs/mini-quick --out exported/mist"),
)
app.add_typer(board.app)
app.add_typer(method_app)
app.add_typer(annotate.app)
app.add_typer(audit.app)
app.add_typer(compare.app)
app.add_typer(calibrate.app)
app.command(epilog=power.EPILOG)(power.power)

SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="Name or TOML file of a suite.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", metavar="NAME[:k=v,…]", help="A method to run; repeatable.", show_default="the suite's"
    ),
]
RunOut = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the run.", show_default="runs/SUITE"),
]
Limit = Annotated[int, typer.Option(min=0, metavar="N", help="At most N prompts of each set; 0 for all.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be made, and make nothing.")]


@app.callback(
    invoke_without_command=True,
    epilog=_examples("evenhand run", "evenhand list methods", "evenhand show mist"),
)
def evenhand(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Audits and benchmarks how text-to-image models depict people.

    All labels are perceived attributes of depicted people who do not exist.
    """
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"evenhand {version_of('evenhand')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    epilog=_examples(
        "evenhand run",
        "evenhand run --method base --method mist:step_size=0.3 --limit 8",
        "evenhand run mini --out runs/mine",
        "evenhand run my-suite.toml --dry-run",
        "evenhand run winobias-gender --online",
    )
)
def run(
    suite: SuiteName = "mini-quick",
    methods: Methods = None,
    out: RunOut = None,
    limit: Limit = 0,
    engine: Engine = "local",
    workers: Workers = 0,
    dry_run: DryRun = False,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Run methods on a suite: fit, generate, judge, measure, report.

    The same command again goes on where a stopped run left off; nothing is made twice.
    """
    if dry_run:
        _dry_run(suite, methods=methods, limit=limit, as_json=as_json)
        return
    from evenhand.bench.models import hub
    from evenhand.bench.run import evaluate
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    progress = Progress(quiet=as_json)
    done = evaluate(
        suite,
        methods=methods,
        out=out,
        limit=limit,
        engine=engine,
        workers=workers,
        progress=progress,
    )
    write_run(done, as_json=as_json)


def _dry_run(suite: str, *, methods: Sequence[str] | None, limit: int, as_json: bool) -> None:
    from evenhand.bench.cli.console import write_table
    from evenhand.bench.run import plan

    rows = [dataclasses.asdict(row) for row in plan(suite, methods=methods, limit=limit)]
    if as_json:
        _write_json(rows)
        return
    columns = [name.replace("_", " ") for name in rows[0]]
    write_table(columns, [list(row.values()) for row in rows])


@app.command(epilog=_examples("evenhand report runs/mini-quick"))
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
) -> None:
    """Write the audit report of a run again from its results."""
    from evenhand.bench.report import write_report

    typer.echo(f"report: {write_report(run)}")


@app.command("list", epilog=_examples("evenhand list methods", "evenhand list suites --json"))
def list_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {KINDS}.")],
    as_json: Json = False,
) -> None:
    """List what there is of one kind, built-in and from installed packages."""
    from evenhand.bench.catalog import cards, shelf
    from evenhand.bench.cli.console import write_table

    columns = shelf(kind).columns
    found = cards(kind)
    if as_json:
        _write_json(found)
    else:
        write_table(columns, [[card[column] for column in columns] for card in found])


@app.command(epilog=_examples("evenhand show mist", "evenhand show mini-quick --json"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Name of anything among {KINDS}.")],
    as_json: Json = False,
) -> None:
    """Show the cards of everything called NAME, wherever it is."""
    from evenhand.bench.catalog import find
    from evenhand.bench.cli.console import write_card

    found = find(name)
    if as_json:
        _write_json(found)
        return
    for card in found:
        write_card(card)
        typer.echo()


@method_app.command(
    epilog=_examples(
        "evenhand method export mist --run runs/mini-quick --out exported/mist",
        "evenhand method export mist:step_size=0.3 --suite mini-quick --out exported/mist",
        "evenhand method export uce --model my/pipeline --out exported/uce",
    )
)
def export(
    label: Annotated[str, typer.Argument(metavar="NAME", help="A label of the run, or NAME[:k=v,…].")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; new or empty.")],
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Folder of the run it was fitted in; without it, it is fitted."),
    ] = None,
    suite: Annotated[
        str, typer.Option(metavar="SUITE", help="Without --run: the suite it is fitted to.")
    ] = "mini-quick",
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Without --run: the model to treat.", show_default="the suite's"),
    ] = None,
    online: Online = False,
) -> None:
    """Write a fitted method: the edited model as a diffusers folder, or the intervention with its loader."""
    from evenhand.bench.models import hub
    from evenhand.bench.stages.export import export_fitted, export_from_run
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    if run is not None and model is not None:
        raise EvenhandError("--run has a model of its own; give --run or --model")
    if run is not None:
        paths = export_from_run(label, run=run, out=out)
    else:
        paths = export_fitted(label, suite=suite, model=model, out=out, progress=Progress())
    for path in paths:
        typer.echo(str(path))


@app.command(epilog=_examples("evenhand doctor", "evenhand doctor --json"))
def doctor(as_json: Json = False) -> None:
    """Check the installation: versions, device, disk, plug-ins and the bundled model."""
    from evenhand.bench.cli.console import write_table
    from evenhand.bench.doctor import examine

    checks = list(examine())
    if as_json:
        _write_json([dataclasses.asdict(check) for check in checks])
    else:
        write_table(("", "", ""), [("ok" if c.ok else "FAULT", c.name, c.detail) for c in checks])
    if not all(check.ok for check in checks):
        raise typer.Exit(EvenhandError.exit_code)


def _write_json(value: Any) -> None:
    from evenhand.bench.cli.console import write_json

    write_json(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: run the command and exit; a user's mistake is one line and exit code 2.

    Args:
        arguments: The command line without the program's name; ``sys.argv`` by default.
    """
    sys.exit(_guarded(arguments))


def _guarded(arguments: Sequence[str] | None) -> int:
    """The exit code; what goes wrong is told in one line on standard error."""
    from evenhand.bench.models import hub

    try:
        with hub.offline():
            code = app(arguments, prog_name="evenhand", standalone_mode=False) or 0
    except EvenhandError as fault:
        return _fail(str(fault), fault.exit_code)
    except typer.TyperException as fault:
        context = getattr(fault, "ctx", None)
        command = context.command_path if context else "evenhand"
        return _fail(f"{fault.format_message().rstrip('.')}; see {command} --help", EvenhandError.exit_code)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as fault:
        remedy = _remedy(fault)
        if not remedy:
            raise
        return _fail(remedy, EvenhandError.exit_code)
    if code == INTERRUPTED:
        return _fail("stopped; the same command goes on", code)
    return int(code)


def _remedy(fault: Exception) -> str:
    """What to do about a fault of the disk; empty for any other, which is a bug and keeps its traceback."""
    place = getattr(fault, "filename", None) or "a file"
    # Not every library raises OSError for it: safetensors has an exception of its own.
    if any(os.strerror(code) in str(fault) for code in (errno.ENOSPC, errno.EDQUOT)):
        return f"disk is full: {place} could not be written; free space and run again, nothing is lost"
    denied = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
    if isinstance(fault, OSError) and fault.errno in denied:
        return f"{place}: {fault.strerror}; choose another folder"
    return ""


def _fail(text: str, code: int) -> int:
    typer.echo(f"evenhand: {one_line(' '.join(text.split()))}", err=True)
    return code


if __name__ == "__main__":
    main()
