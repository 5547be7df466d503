"""How commands reach the databases, and how the database's errors become one line."""

import functools
import select
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    POLL_WRITE,
    connection,
    get_wait_callback,
    set_wait_callback,
)

from swagger_server.config import Settings
from swagger_server.config.settings import DEFAULT_DATABASE
from swagger_server.embedded import ensure_running

_CONNECT_TIMEOUT = 10.0  # seconds; libpq bounds only the connects that it waits for itself


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
    """A connection of a command's own, closed at the end of the block; pg_stat_activity shows the command.

    Raises CommandError when there is none within 10 seconds.
    """
    try:
        with interruptible(_CONNECT_TIMEOUT):
            conn = psycopg2.connect(**{**arguments, "application_name": f"swagger_server {command}"})
    except psycopg2.Error as error:
        place = " ".join(f"{name} {arguments[name]}" for name in ("host", "port", "dbname"))
        raise CommandError(f"no connection to {place}: {one_line(error)}") from None
    with closing(conn):
        yield conn


@contextmanager
def interruptible(timeout: float | None = None) -> Iterator[None]:
    """Let Ctrl-C, and `timeout` seconds, end a connect or a query in the block. COPY does not work there."""
    before = get_wait_callback()
    deadline = None if timeout is None else time.monotonic() + timeout
    set_wait_callback(functools.partial(_wait, deadline=deadline))
    try:
        yield
    except psycopg2.InterfaceError as error:
        # The interrupt closed the connection, and a rollback on the way out stumbled over that.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        set_wait_callback(before)


def _wait(conn: connection, deadline: float | None) -> None:
    """Wait in Python, where a KeyboardInterrupt gets through; psycopg2 then closes the connection."""
    while (state := conn.poll()) != POLL_OK:
        reading = [conn] if state == POLL_READ else []
        writing = [conn] if state == POLL_WRITE else []
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not any(select.select(reading, writing, [], left)):
            raise psycopg2.OperationalError("timeout expired")


def one_line(error: BaseException) -> str:
    """An error's message as one line, after its notes; of a server's error only what it calls the message."""
    primary = error.diag.message_primary if isinstance(error, psycopg2.Error) else None
    message = primary or str(error) or type(error).__name__
    return " ".join(": ".join([*getattr(error, "__notes__", ()), message]).split())
