"""Is an idle connection still alive? Asked without a round trip: about a microsecond when nothing came in."""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import psycopg2
from psycopg2 import extensions

from swagger_server.pool.interrupting import identify

READABLE = getattr(select, "POLLIN", 1)
HUNG_UP = getattr(select, "POLLRDHUP", 0)
"""Where the system tells it: the other side has closed, even when there is still something to read."""


Readable = Callable[[int], Any]
"""Called with 0, tells at once (true or false) whether something has come in."""


class Handle:
    """A file descriptor of the pool's own for a connection's socket.

    Through it the socket can be watched or cut from another thread, without the risk that the borrower has
    closed the connection and the number belongs to another file by now.
    """

    def __init__(self, connection: extensions.connection) -> None:
        self._lock = threading.Lock()
        self.session = identify(connection)
        self._was_cut = False
        self._fd = os.dup(connection.fileno())
        self.readable = _watch(self._fd, READABLE)
        """For the one who has the slot: fast, but no two threads may ask at the same moment."""

    def may_be_dead(self) -> bool:
        """True when something has come in. For anybody."""
        return self._has(READABLE)

    def has_hung_up(self) -> bool:
        """True when the server has closed the connection; False where the system cannot tell. For anybody."""
        return bool(HUNG_UP) and self._has(HUNG_UP)

    def _has(self, event: int) -> bool:
        with self._lock:
            return self._fd < 0 or bool(_watch(self._fd, event)(0))

    def has_ended(self, patience: float) -> bool:
        """Once the connection was closed: whether the server has ended the session, waiting so many seconds.

        A server's process closes its socket with its last breath. For the one who has the slot; False when the
        connection was cut, since then nothing more is heard of the other side.
        """
        if self._was_cut or self._fd < 0:
            return False
        end = monotonic() + patience
        while _wait_for_input(self._fd, max(0.0, end - monotonic())):
            # What it still sent, a notification say, nobody will read; gevent's poll() knows no hanging up.
            if _is_at_end(self._fd):
                return True
        return False

    def cut(self, tell: Callable[[], object] | None = None) -> bool:
        """End the connection, so that whoever waits for its answer fails at once. False the second time.

        The first time `tell` is called before, since the one who waits goes on as soon as it is cut.
        """
        with self._lock:
            first, self._was_cut = not self._was_cut, True
        if first and tell is not None:
            tell()
        with self._lock:
            if self._fd >= 0:
                _shut_down(self._fd)
        return first

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close

    def abandon(self) -> None:
        """Close without the lock: in a child process, where its holder may not exist."""
        self._lock = threading.Lock()
        self.close()


def _shut_down(fd: int) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as end:
        end.shutdown(socket.SHUT_RDWR)


def _is_at_end(fd: int) -> bool:
    try:
        return not os.read(fd, 65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _wait_for_input(fd: int, seconds: float) -> bool:
    """Lets other threads, and greenlets, go on meanwhile."""
    poll = select.poll()
    poll.register(fd, READABLE)
    return bool(poll.poll(round(seconds * 1000)))


def _watch(fd: int, event: int) -> Readable:
    if not hasattr(select, "poll"):
        return lambda timeout: any(select.select([fd], [], [], timeout))
    poll = select.poll()
    poll.register(fd, event)
    return poll.poll


def survives_reading(connection: Any, readable: Readable) -> bool:
    """Read what came in on an idle connection. False when it was the end.

    Readable is not yet dead: notifications and changed parameters arrive unasked, too. A notice does not: the
    server sends one to an idle session only to say goodbye, and the end of the stream may arrive a moment
    later.
    """
    try:
        while readable(0) and not connection.closed:
            connection.poll()
    except psycopg2.Error:
        return False
    return not connection.closed and not connection.notices
