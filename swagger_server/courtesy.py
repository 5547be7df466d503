"""Long computations in a process that has requests to answer meanwhile."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TURN = 0.0002
"""Seconds after which Python's lock is passed on to a thread that waits for it, while one computes for long.

Python's own 5 ms are what a request waits each time that it has waited for something else, which it does three times.
"""

_lock = threading.Lock()
_at_it = 0
_usual = 0.0


@contextmanager
def long_computation() -> Iterator[Callable[[], None]]:
    """Within the block other threads get their turn sooner. Gives what is to be called every few milliseconds.

    That lets other greenlets go on, where a request is one.
    """
    _begin()
    try:
        yield _pause
    finally:
        _end()


def _pause() -> None:
    # gevent's, where it has taken the place of the standard library's.
    time.sleep(0)


def _begin() -> None:
    global _at_it, _usual
    with _lock:
        if not _at_it:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(min(_usual, _TURN))
        _at_it += 1


def _end() -> None:
    global _at_it
    with _lock:
        _at_it -= 1
        if not _at_it:
            sys.setswitchinterval(_usual)
