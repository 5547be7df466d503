"""Ending a session in the server whose client has already hung up.

psycopg2's own `cancel()` is no way to do it: it keeps the interpreter's lock until the server answers, so that a
server that stands still stops every thread of the process.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import psycopg2

from swagger_server.pool.session import NotingConnection

PATIENCE = 2.0
"""Seconds to wait for a connection to say it over."""

# The port makes sure that it is ours: behind a pooler or a translated address the pid may be somebody else's.
_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %s AND client_port = %s AND usename = current_user AND datname = current_database()
"""

# Of somebody who died with a share of the budget, and whose session may still run a query. The number may be another
# session's by now: that one began later, by more than clocks differ.
_END_REMAINS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %s AND client_port = %s AND usename = current_user AND datname = current_database()
AND backend_start < to_timestamp(%s) + interval '5 s'
"""
_LOOK_AGAIN = 0.005
_LOOK_LONGEST = 1.0

logger = logging.getLogger("swagger_server.pool")


class SessionId(NamedTuple):
    """What the server knows a session by."""

    pid: int
    client_port: int


def identify(conn: Any) -> SessionId:
    """Of an open connection, without asking the server."""
    with socket.socket(fileno=conn.fileno()) as end:
        name = end.getsockname()
        end.detach()
    return SessionId(conn.info.backend_pid, name[1] if isinstance(name, tuple) else -1)


def end_session(session: SessionId, connection: Callable[..., AbstractContextManager[Any]]) -> None:
    """Have the server end `session`, over one of the pool's connections. Waits, so not for a caller's thread."""
    try:
        with connection(timeout=PATIENCE) as conn, _brief(conn), conn.cursor() as cursor:
            cursor.execute(_END, session)
    except psycopg2.Error as error:
        logger.debug("an interrupted session may still run: %s", " ".join(str(error).split()))


@contextmanager
def _brief(conn: Any) -> Iterator[None]:
    """Perhaps the session had to be interrupted because the server stands still: then it is found out here."""
    if not isinstance(conn, NotingConnection):
        yield
        return
    conn.is_brief = True
    try:
        yield
    finally:
        conn.is_brief = False


def end_remains(conn: Any, session: tuple[int, int, float]) -> bool:
    """Have the server end a session that its client left behind: its pid, port, and when it was opened.

    Waits until it has ended, for up to a second; False when it has not. Raises what psycopg2 does.
    """
    deadline = time.monotonic() + _LOOK_LONGEST
    while True:
        with conn.cursor() as cursor:
            cursor.execute(_END_REMAINS, session)
            gone = not cursor.rowcount
        conn.rollback()  # else it would be shown the same again
        if gone or time.monotonic() > deadline:
            return gone
        time.sleep(_LOOK_AGAIN)
