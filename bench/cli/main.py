"""The command line: assembles the commands and turns errors into exit codes.

Commands import the engine inside their functions, so that ``evenhand --help`` does not load torch.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from evenhand.bench.cli import (
    annotate,
    audit,
    board,
    calibrate,
    catalog,
    compare,
    method,
    power,
    report,
    run,
    tune,
)
from evenhand.bench.cli.setup import cache, doctor, fetch
from evenhand.bench.cli.shared import examples
from evenhand.bench.errors import EvenhandError, one_line

NOISY = ("bitsandbytes", "torch.utils._pytree", "torchao")
"""Loggers of optional packages that report kernels of other devices whenever they are imported."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells, and after SIGTERM."""

COMMANDS = (
    run,
    audit,
    report,
    compare,
    tune,
    calibrate,
    annotate,
    power,
    method,
    board,
    catalog,
    cache,
    fetch,
    doctor,
)
"""The modules of the commands, in the order of the help."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode="rich")
for _command in COMMANDS:
    app.add_typer(_command.app)


@app.callback(
    invoke_without_command=True,
    epilog=examples("evenhand run", "evenhand list methods", "evenhand show mist"),
)
def evenhand(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Audit and benchmark how text-to-image models depict people.

    All labels are perceived attributes of depicted people who do not exist.
    """
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"evenhand {version_of('evenhand')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit; a user error prints one line and exits with code 2.

    Args:
        arguments: The command line without the program's name; ``sys.argv`` by default.
    """
    # Schedulers and containers send SIGTERM; by default it ends Python without timings and without a word.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(_guarded(arguments))
    finally:
        signal.signal(signal.SIGTERM, before)


def _guarded(arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code; report expected errors in one line on standard error."""
    from evenhand.bench.fetching import hub

    for stream in (sys.stdout, sys.stderr):
        # A terminal without a character shows ? for it; an error would come after all the work.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
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
        return _fail("interrupted; run the same command again to resume", code)
    return int(code)


def _remedy(fault: Exception) -> str:
    """What to do about an error of the machine; empty for a bug, which keeps its traceback."""
    place = getattr(fault, "filename", None) or "a file"
    # Not every library raises OSError: safetensors has its own exception.
    if any(os.strerror(code) in str(fault) for code in (errno.ENOSPC, errno.EDQUOT)):
        return f"disk is full: cannot write {place}; free space and run the same command again to resume"
    if isinstance(fault, OSError):
        reason = f"{place}: {fault.strerror}" if fault.strerror else str(fault)
        return f"{reason}; check the path, or choose another folder"
    if isinstance(fault, MemoryError):
        return f"out of memory ({fault}); use smaller images, batches or parameters, or more memory"
    return ""


def _fail(text: str, code: int) -> int:
    typer.echo(f"evenhand: {one_line(' '.join(text.split()))}", err=True)
    return code


if __name__ == "__main__":
    main()
