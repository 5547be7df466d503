"""How commands reach the databases, and how the database's errors become one line."""

import select
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, connection, set_wait_callback

from swagger_server.config import Settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.embedded import ensure_running

_CONNECT_TIMEOUT = 10  # seconds, for each host


class CommandError(Exception):
    """A command cannot do its work. `str()` is one line that says why."""


def connect_arguments(settings: Settings) -> dict[str, dict[str, Any]]:
    """Arguments for psycopg2.connect by name; the embedded server is started or joined but not filled."""
    named = {name: database.connect_kwargs() for name, database in settings.databases.items()}
    if not settings.uses_embedded:
        return named
    return {DEFAULT_DATABASE: ensure_running(settings.embedded.data).connect_kwargs, **named}


@contextmanager
def connected(command: str, arguments: dict[str, Any]) -> Iterator[connection]:
    """A connection of a command's own, closed at the end of the block; pg_stat_activity shows the command."""
    own = {"application_name": f"swagger_server {command}", "connect_timeout": _CONNECT_TIMEOUT}
    with closing(psycopg2.connect(**{**arguments, **own})) as conn:
        yield conn


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a connect or a query within the block. COPY does not work in it."""
    set_wait_callback(_wait)
    try:
        yield
    finally:
        set_wait_callback(None)


def _wait(conn: connection) -> None:
    """Wait in Python, where a KeyboardInterrupt gets through; psycopg2 then closes the connection."""
    while (state := conn.poll()) != POLL_OK:
        reading = [conn] if state == POLL_READ else []
        writing = [conn] if state == POLL_WRITE else []
        select.select(reading, writing, [])


def one_line(error: BaseException) -> str:
    """An error's message as one line; of a database's error only what the server calls its message."""
    primary = error.diag.message_primary if isinstance(error, psycopg2.Error) else None
    return " ".join((primary or str(error) or type(error).__name__).split())
