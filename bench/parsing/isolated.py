"""Reads untrusted files in a separate process, so that a malicious file can only break that process.

A file may make a parser written in C abort, use all memory or never return. Such a file is rejected, and the
next file is read in a new process.
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

MAX_MEMORY = 2**29
"""Memory that reading a file may take, in bytes; the largest files have a sixtieth of that."""

MAX_SECONDS = 60.0
"""Time that reading a file may take."""

_LENGTH = 8
_END = b"\n"
_FINE, _FAULT = b"+", b"-"


class _Process:
    """The separate process; started when first needed, and restarted after a file has broken it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: subprocess.Popen[bytes] | None = None

    def ask(self, request: bytes) -> bytes:
        """Send a request and return the answer.

        Raises:
            ValueError: There is no answer; the message says why.
        """
        with self._lock:
            running = self._running or self._start()
            stopper = Timer(MAX_SECONDS, running.kill)
            stopper.start()
            try:
                assert running.stdin is not None and running.stdout is not None
                _send(running.stdin, request)
                return _receive(running.stdout)
            except BaseException as fault:
                # Also if interrupted: the next request would read the answer to this one as its own.
                self.stop()
                if not isinstance(fault, OSError | EOFError):
                    raise
                timed_out = stopper.finished.is_set()
                reason = (
                    f"reading it takes more than {MAX_SECONDS:.0f} seconds"
                    if timed_out
                    else "it crashes the reader"
                )
                raise ValueError(reason) from fault
            finally:
                stopper.cancel()

    def stop(self) -> None:
        """End the process if it runs."""
        if self._running is not None:
            self._running.kill()
            self._running.communicate()
            self._running = None

    def _start(self) -> subprocess.Popen[bytes]:
        code = f"from {__name__} import serve; serve()"
        pipe = subprocess.PIPE
        # Messages of the reader process are of no use to the user.
        quiet = subprocess.DEVNULL
        self._running = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=quiet)
        return self._running


_process = _Process()
atexit.register(_process.stop)


def run_isolated(function: Callable[..., bytes], data: bytes = b"", **settings: Any) -> bytes:
    """Return ``function(data, **settings)``, called in the separate process.

    Args:
        function: A module-level function. It may raise ``ValueError``.
        data: The content of an untrusted file.
        settings: Further arguments; must be serializable as JSON.

    Raises:
        ValueError: The function raised it, or the file crashes the reader or needs too much time or memory.
    """
    request = {"module": function.__module__, "function": function.__name__, "settings": settings}
    answer = _process.ask(json.dumps(request).encode() + _END + data)
    if answer[:1] != _FINE:
        raise ValueError(answer[1:].decode())
    return answer[1:]


def serve() -> None:
    """Answer requests until the pipe is closed; runs in the separate process."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    limited = False
    while True:
        try:
            header, _, data = _receive(requests).partition(_END)
        except EOFError:
            return
        request = json.loads(header)
        function = getattr(import_module(request["module"]), request["function"])
        if not limited:
            # After the imports, which need memory too.
            _limit_memory()
            limited = True
        try:
            answer = _FINE + function(data, **request["settings"])
        except ValueError as fault:
            answer = _FAULT + str(fault).encode()
        except MemoryError:
            answer = _FAULT + f"reading it takes more than {MAX_MEMORY / 2**20:.0f} MiB of memory".encode()
        _send(answers, answer)


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard_limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_MEMORY, hard_limit))


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
