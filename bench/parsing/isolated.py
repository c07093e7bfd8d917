"""Reading strangers' files in a process of its own: what they do to a parser stays there.

A parser written in C may be brought to abort, to take all memory, or not to end. Then the file is refused,
and the next one is read by another process.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Lock, Timer
from typing import IO, Any

ROOM = 2**29
"""Bytes of memory that a file may cost; its own are at most a sixtieth of that."""

SECONDS = 60.0
"""Longest time that a file may cost."""

_LENGTH = 8
_END = b"\n"
_FINE, _FAULT = b"+", b"-"


class _Process:
    """The other process, started when first needed and again when a file has stopped it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: subprocess.Popen[bytes] | None = None

    def ask(self, request: bytes) -> bytes:
        """The answer to a request.

        Raises:
            ValueError: There is none; the message is a clause.
        """
        with self._lock:
            running = self._running or self._start()
            stopper = Timer(SECONDS, running.kill)
            stopper.start()
            try:
                assert running.stdin is not None and running.stdout is not None
                _send(running.stdin, request)
                return _receive(running.stdout)
            except (OSError, EOFError) as fault:
                self.stop()
                late = stopper.finished.is_set()
                reason = (
                    f"reading it takes more than {SECONDS:.0f} seconds" if late else "it breaks the reader"
                )
                raise ValueError(reason) from fault
            finally:
                stopper.cancel()

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._running is not None:
            self._running.kill()
            self._running.communicate()
            self._running = None

    def _start(self) -> subprocess.Popen[bytes]:
        code = f"from {__name__} import serve; serve()"
        pipe = subprocess.PIPE
        # Its own complaints say nothing to the user.
        quiet = subprocess.DEVNULL
        self._running = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=quiet)
        return self._running


_process = _Process()
atexit.register(_process.stop)


def run_isolated(function: Callable[..., bytes], data: bytes = b"", **settings: Any) -> bytes:
    """``function(data, **settings)``, called in the other process.

    Args:
        function: A function of a module. It may raise ``ValueError`` with a clause.
        data: A stranger's file.
        settings: What else the function is given; all of it can be written as JSON.

    Raises:
        ValueError: What the function raised, or that the file breaks the reader, or needs too much.
    """
    asked = {"module": function.__module__, "function": function.__name__, "settings": settings}
    answer = _process.ask(json.dumps(asked).encode() + _END + data)
    if answer[:1] != _FINE:
        raise ValueError(answer[1:].decode())
    return answer[1:]


def serve() -> None:
    """Answer requests until there are no more: what the other process does."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    limited = False
    while True:
        try:
            header, _, data = _receive(requests).partition(_END)
        except EOFError:
            return
        asked = json.loads(header)
        function = getattr(import_module(asked["module"]), asked["function"])
        if not limited:
            # After the imports, which need room too.
            _limit_memory()
            limited = True
        try:
            answer = _FINE + function(data, **asked["settings"])
        except ValueError as fault:
            answer = _FAULT + str(fault).encode()
        except MemoryError:
            answer = _FAULT + f"reading it takes more than {ROOM / 2**20:.0f} MiB of memory".encode()
        _send(answers, answer)


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, most))


def _send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(len(message).to_bytes(_LENGTH, "big") + message)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    head = pipe.read(_LENGTH)
    size = int.from_bytes(head, "big")
    message = pipe.read(size)
    if len(head) < _LENGTH or len(message) < size:
        raise EOFError
    return message
