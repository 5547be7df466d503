"""How many users may have a request under way at one moment before the first of them fails.

With a connection per request each of them needs one of the server's, so these are opened until there is none left.
With a pool they share its connections and wait for their turn.
"""

import resource
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection

from swagger_server.compare.speed import Progress
from swagger_server.compare.ways import Connecting, Pooled, ask

_STACK = 256 * 1024  # bytes of a thread that waits for a connection
_SPARE_FILES = 64
"""Files of this process that are not for connections."""


@dataclass(frozen=True)
class Crowd:
    """The users that were served at once; `reason` says why one more was not, None where no one failed."""

    users: int
    reason: str | None


def crowd_connecting(way: Connecting, *, most: int, seconds: float, progress: Progress) -> Crowd:
    """Open connections until one fails; all are closed when it returns or raises.

    Stops after `most` and after about `seconds`. Whoever else wants a connection meanwhile may get none.
    """
    opened: list[connection] = []
    deadline = time.monotonic() + seconds
    most = min(most, _files_left())
    try:
        while len(opened) < most and time.monotonic() < deadline:
            opened.append(way.open())
            progress(len(opened) / most)
    except psycopg2.OperationalError as error:
        return Crowd(len(opened), _last_line(error))
    finally:
        for conn in opened:
            conn.close()
    return Crowd(len(opened), None)


def crowd_pooled(way: Pooled, *, most: int, seconds: float, progress: Progress) -> Crowd:
    """Have twice as many users ask at once each time until one of them fails.

    Stops after `most` users at once and after about `seconds`.
    """
    users, served = min(16, most), 0
    deadline = time.monotonic() + seconds
    while served < most and time.monotonic() < deadline:
        errors = _ask_at_once(way, users)
        if errors:
            return Crowd(max(served, users - len(errors)), errors[0])
        served, users = users, min(2 * users, most)
        progress(served / most)
    return Crowd(served, None)


def _ask_at_once(way: Pooled, users: int) -> list[str]:
    """Why users failed that all ask at the same moment."""
    errors: list[str] = []
    gate = threading.Event()

    def user() -> None:
        gate.wait()
        try:
            with way.connection() as conn:
                ask(conn)
        except psycopg2.Error as error:
            errors.append(_last_line(error))

    _run_together(user, users, gate)
    return errors


def _run_together(work: Callable[[], None], count: int, gate: threading.Event) -> None:
    before = threading.stack_size(_STACK)
    threads: list[threading.Thread] = []
    try:
        for _ in range(count):
            threads.append(threading.Thread(target=work, daemon=True))
            threads[-1].start()
    finally:
        threading.stack_size(before)
        gate.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _files_left() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - _SPARE_FILES)


def _last_line(error: psycopg2.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
