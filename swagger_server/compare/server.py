"""What the server says of itself, and whether a comparison's sessions are gone."""

import time
from dataclasses import dataclass

from psycopg2.extensions import connection

from swagger_server.compare.ways import SESSION_NAME

_SERVER_SQL = """
SELECT current_setting('server_version'),
       current_setting('max_connections')::integer,
       CASE WHEN rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::integer END
           + CASE WHEN rolsuper OR pg_has_role('pg_use_reserved_connections', 'MEMBER') THEN 0
                  ELSE coalesce(current_setting('reserved_connections', true)::integer, 0) END,
       nullif(rolconnlimit, -1),
       (SELECT count(*) FROM pg_stat_activity
        WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND pid <> pg_backend_pid())
FROM pg_roles WHERE rolname = current_user"""
# Not every role may see what kind of backend another role's is; the database's own have no user or no database.
# The role that reserved_connections are for came with PostgreSQL 16.
_OLD_SERVER_SQL = _SERVER_SQL.replace(" OR pg_has_role('pg_use_reserved_connections', 'MEMBER')", "")
_SESSIONS_SQL = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"
)

_PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class Server:
    """A server as one role sees it."""

    version: str
    max_connections: int
    reserved: int
    """Connections that this role may not use."""
    role_limit: int | None
    in_use: int
    """Connections that others have."""


def ask_server(conn: connection) -> Server:
    """What the server of a connection allows its role."""
    with conn.cursor() as cur:
        cur.execute(_SERVER_SQL if conn.info.server_version >= 160000 else _OLD_SERVER_SQL)
        return Server(*(cur.fetchone() or ()))


def wait_until_closed(conn: connection) -> int:
    """Wait until the server has ended all sessions of a comparison but `conn`; how many are left after 10 s."""
    deadline = time.monotonic() + _PATIENCE
    while (left := _sessions(conn)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _sessions(conn: connection) -> int:
    with conn.cursor() as cur:
        cur.execute(_SESSIONS_SQL, (SESSION_NAME,))
        return int((cur.fetchone() or (0,))[0])
