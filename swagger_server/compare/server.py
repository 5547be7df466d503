"""What the server says of itself, and whether a comparison's sessions are gone."""

import time
from dataclasses import dataclass

from psycopg2.extensions import connection

from swagger_server.capacity import Limits, limits_over
from swagger_server.compare.ways import SESSION_NAME

# Not every role may see what kind of backend another role's is; the database's own have no user or no database.
_OTHERS_SQL = """
SELECT count(*), count(*) FILTER (WHERE usename = session_user), count(*) FILTER (WHERE datname = current_database())
FROM pg_stat_activity
WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND pid <> pg_backend_pid()"""
_SESSIONS_SQL = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"
)

_PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class Server:
    """A server as one role sees it, and the sessions of others: all, those of the role, those in the database."""

    limits: Limits
    others: int
    others_of_role: int
    others_in_database: int

    def free(self) -> int:
        """Sessions that the role may have now, with the one that asked."""
        return self.limits.room(self.others, self.others_of_role, self.others_in_database)


def ask_server(conn: connection) -> Server | None:
    """What the server of a connection allows its role; None when it does not tell."""
    limits = limits_over(conn)
    if limits is None:
        return None
    with conn.cursor() as cur:
        cur.execute(_OTHERS_SQL)
        return Server(limits, *(cur.fetchone() or ()))


def wait_until_closed(conn: connection) -> int:
    """Wait until the server has ended all sessions of a comparison but `conn`; how many are left after 10 s.

    Not for a pooler's connection: its sessions stay, under the name of whoever had them last.
    """
    deadline = time.monotonic() + _PATIENCE
    while (left := _sessions(conn)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _sessions(conn: connection) -> int:
    with conn.cursor() as cur:
        cur.execute(_SESSIONS_SQL, (SESSION_NAME,))
        return int((cur.fetchone() or (0,))[0])
