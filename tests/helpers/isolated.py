"""Functions that run in another process."""

import ctypes
import os
import time

from evenhand.bench.parsing.isolated import MAX_MEMORY


def number(data=b""):
    return str(os.getpid()).encode()


def abort(data=b""):
    ctypes.CDLL(None).abort()
    return b""


def take_memory(data=b""):
    return bytes(2 * MAX_MEMORY)


def turned(data, by):
    return data[::-1] * by


def find_fault(data=b""):
    raise ValueError("it is torn")


def never_end(data=b""):
    time.sleep(3600)
    return b""
