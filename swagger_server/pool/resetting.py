"""Cleaning a returned session, in the background, so that the next borrower finds it as it was opened."""

import logging
from typing import Any, Literal

import psycopg2
from psycopg2 import extensions, sql

from swagger_server.pool.session import IDLE, READY, NotingConnection
from swagger_server.pool.statements import OWN_PREFIX

Outcome = Literal["ready", "demoted", "broken"]

logger = logging.getLogger("swagger_server.pool")

# DISCARD ALL (and so psycopg2's own reset) would also drop the statements that are prepared for everybody. So this
# is what it does without that; the last statement finds those that the borrower prepared.
_CLEAN = """
CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();
DISCARD TEMP; DISCARD SEQUENCES;
SELECT name FROM pg_prepared_statements WHERE from_sql AND NOT starts_with(name, %s)
"""

_IS_READ_ONLY = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"


def roll_back(connection: Any) -> None:
    """End the borrower's transaction, if there is one."""
    if connection.status != READY:
        connection.rollback()
    if connection.get_transaction_status() != IDLE:
        # Begun by a raw BEGIN in autocommit, of which psycopg2 knows nothing.
        connection.autocommit = True
        with connection.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute("ROLLBACK")


def _is_at_rest(connection: Any) -> bool:
    """Whether no transaction is open, neither on the server nor in psycopg2's own mind."""
    return bool(connection.status == READY and connection.get_transaction_status() == IDLE)


def clean(connection: Any) -> None:
    """Take everything away that the borrower left, on both sides. One round trip, seldom more."""
    _forget_client_settings(connection)
    with connection.cursor(cursor_factory=extensions.cursor) as cursor:
        cursor.execute(_CLEAN, (OWN_PREFIX,))
        for (name,) in cursor.fetchall():
            cursor.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(name)))
    _restore_home(connection)


def is_demoted(connection: Any) -> bool:
    """When it seems so: does the server itself refuse writes, or was it the borrower's transaction?"""
    _forget_client_settings(connection)
    with connection.cursor(cursor_factory=extensions.cursor) as cursor:
        cursor.execute(_IS_READ_ONLY)
        (read_only,) = cursor.fetchone()
    _restore_home(connection)
    return bool(read_only)


def _seems_demoted(connection: NotingConnection) -> bool:
    return connection.refused_write or (connection.wants_writes and connection.has_turned_read_only())


def _forget_client_settings(connection: Any) -> None:
    connection.autocommit = False
    connection.isolation_level = connection.readonly = connection.deferrable = None
    connection.autocommit = True


def _restore_home(connection: Any) -> None:
    connection.autocommit = False
    if not isinstance(connection, NotingConnection):
        return
    if connection.encoding != connection.home_encoding:
        connection.set_client_encoding(connection.home_encoding)
    isolation_level, readonly, deferrable, connection.cursor_factory = connection.home_settings
    connection.set_session(isolation_level, readonly, deferrable, connection.home_autocommit)
    connection.changed = connection.was_set_up = connection.refused_write = False


def make_ready(connection: Any, thorough: bool, may_refuse_writes: bool = False) -> Outcome:
    """Make a returned connection ready for the next borrower, or say why it can't be."""
    seems_demoted = (
        not may_refuse_writes and isinstance(connection, NotingConnection) and _seems_demoted(connection)
    )
    try:
        roll_back(connection)
        if thorough:
            clean(connection)
        if seems_demoted and is_demoted(connection):
            return "demoted"
        if isinstance(connection, NotingConnection):
            connection.refused_write = False
            connection.put_back(check_changes=False)
        return "ready" if _is_at_rest(connection) else "broken"
    except psycopg2.Error as error:
        logger.debug("a returned connection could not be cleaned: %s", str(error).strip())
        return "broken"
