"""How far a client's own writes have come: a position in the write-ahead log, which its later reads carry.

A write's answer tells the position after its commit, in a header and in a cookie; a read that carries one is
answered by a replica only if that has replayed so much. Owns the position's form, on the wire and in SQL. What a
client makes up can only send it to the primary. Must not know Flask or the pool.
"""

import re
from collections.abc import Callable
from typing import Any

from psycopg2 import extensions

HEADER = "X-Database-Position"
COOKIE = "database_position"

VARY = f"Cookie, {HEADER}"
"""A read after a write must not be answered from a cache that was filled before it."""

UNKNOWN = 2**64 - 1
"""Beyond every other position: only the primary has come so far."""

LAG = 60
"""Seconds that a replica may be behind while clients that forget their cookie still see what they wrote."""

_LSN = r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})"
_IN_HEADER = re.compile(_LSN)
_IN_COOKIE = re.compile(rf'(?:^|[;,\s]){COOKIE}="?{_LSN}(?:["\s;,]|$)')

# The insert position and not the written one: with synchronous_commit off the commit may be in memory still.
_WRITTEN = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"

# A replica that was promoted replays nothing any more.
_REPLAYED = """
SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END
    - '0/0')::bigint
"""


def carried(header: Callable[[str], str | None]) -> int:
    """The position that a request carries, the later one of header and cookie; 0 for none or a malformed one."""
    given, cookie = header("x-database-position"), header("cookie")
    found = _IN_HEADER.fullmatch(given) if given is not None else None
    position = _number(found)
    if cookie is not None and COOKIE in cookie:
        position = max(position, *map(_number, _IN_COOKIE.finditer(cookie)), 0)
    return position


def _number(found: re.Match[str] | None) -> int:
    return 0 if found is None else int(found[1], 16) << 32 | int(found[2], 16)


def text(position: int) -> str:
    """As PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def set_cookie(position: int, seconds: int) -> str:
    """The Set-Cookie header that has a browser carry the position for so long."""
    return f"{COOKIE}={text(position)}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax"


def written(connection: extensions.connection) -> int:
    """How far the primary has come, after a commit: one round trip."""
    return _ask(connection, _WRITTEN)


def replayed(connection: extensions.connection) -> int:
    """How far the server of this connection has come, a replica or a promoted one: one round trip."""
    return _ask(connection, _REPLAYED)


def _ask(connection: extensions.connection, question: str) -> int:
    # Not the request's own cursor, whose rows may be of another form.
    with connection.cursor(cursor_factory=extensions.cursor) as cursor:
        cursor.execute(question)
        row: Any = cursor.fetchone()
    return int(row[0] or 0)
