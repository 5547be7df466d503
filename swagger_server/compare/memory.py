"""How much memory a session takes in the server.

Of a server on this machine the system knows it (the process's proportional set size); of another one the database's
own view of its memory contexts, which is less than the whole process and which not every role may read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

_CONTEXTS_SQL = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts"
_LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")

FROM_PROCESS = "proportional set size of the server's process (PSS)"
FROM_DATABASE = "pg_backend_memory_contexts"


@dataclass(frozen=True)
class SessionMemory:
    """Bytes of one session, and where that was read."""

    size: int
    source: str


def session_memory(conn: connection) -> SessionMemory | None:
    """The memory of a session in autocommit; None where nothing may be read."""
    return _of_process(conn) or _of_contexts(conn)


def _of_process(conn: connection) -> SessionMemory | None:
    host = conn.info.host or ""
    if host not in _LOCAL_HOSTS and not host.startswith(("/", "@")):
        return None
    process = Path("/proc") / str(conn.info.backend_pid)
    try:
        if "postgres" not in (process / "cmdline").read_text():
            return None  # a server in a container, or behind a forwarded port, has numbers of its own
        kilobytes = re.search(r"^Pss:\s+(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return None
    return SessionMemory(int(kilobytes[1]) * 1024, FROM_PROCESS) if kilobytes else None


def _of_contexts(conn: connection) -> SessionMemory | None:
    try:
        with conn.cursor() as cur:
            cur.execute(_CONTEXTS_SQL)
            (size,) = cur.fetchone() or (None,)
    except psycopg2.Error:  # no right to read it, or a server older than the view
        return None
    return None if size is None else SessionMemory(int(size), FROM_DATABASE)
