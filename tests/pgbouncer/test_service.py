"""The service behind PgBouncer in transaction mode: the same answers, and nothing left in the sessions."""

import os
from collections.abc import Iterator

import pytest
import requests

from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.service.test_request_connection import (
    test_a_commit_that_fails_is_not_answered_with_a_success,
    test_a_get_is_read_only_and_its_statements_have_a_time_limit,
    test_a_write_in_a_get_is_refused_by_the_database,
    test_a_write_is_committed_before_the_answer,
    test_an_answer_of_400_or_more_undoes_the_write,
    test_an_exception_undoes_the_write,
    test_one_request_uses_two_databases,
    test_requests_at_once_have_connections_of_their_own,
    test_streams_at_once_are_complete_and_give_their_connections_back,
    test_the_second_touch_is_the_same_connection,
    test_transaction_in_a_get_sees_one_state,
    test_with_get_db_ends_the_transaction_with_the_block,
)
from tests.support.pgbouncer import PgBouncer
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database

__all__ = [
    "test_a_commit_that_fails_is_not_answered_with_a_success",
    "test_a_get_is_read_only_and_its_statements_have_a_time_limit",
    "test_a_write_in_a_get_is_refused_by_the_database",
    "test_a_write_is_committed_before_the_answer",
    "test_an_answer_of_400_or_more_undoes_the_write",
    "test_an_exception_undoes_the_write",
    "test_one_request_uses_two_databases",
    "test_requests_at_once_have_connections_of_their_own",
    "test_streams_at_once_are_complete_and_give_their_connections_back",
    "test_the_second_touch_is_the_same_connection",
    "test_transaction_in_a_get_sees_one_state",
    "test_with_get_db_ends_the_transaction_with_the_block",
]

SESSIONS = 8
LEFT_BEHIND = """
SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'swagger\\_server%%'),
    (SELECT string_agg(name, ' ') FROM pg_settings WHERE source = 'session' AND name <> ALL (%s)),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_cursors WHERE is_holdable),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
    current_setting('transaction_read_only')
"""
TRACKED = [
    "transaction_read_only",
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "standard_conforming_strings",
    "application_name",
]
"""What every transaction begins with a value of its own for, and what PgBouncer sets for the client it serves."""

CLEAN = (0, None, 0, 0, 0, "off")


@pytest.fixture(scope="module")
def ledger_database(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"bounced_{os.getpid()}") as database:
        database.execute(TABLES)
        yield database


@pytest.fixture(scope="module")
def other_database(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"bounced_other_{os.getpid()}") as database:
        yield database


@pytest.fixture
def entries(ledger_database: Database) -> Database:
    """The ledger's database, with no entries; not by way of the pooler."""
    ledger_database.execute("TRUNCATE entry RESTART IDENTITY CASCADE")
    return ledger_database


@pytest.fixture(scope="module")
def pooler(ledger_database: Database, other_database: Database) -> Iterator[PgBouncer]:
    with PgBouncer(ledger_database, size=SESSIONS) as running:
        yield running


@pytest.fixture(scope="module")
def ledger(pooler: PgBouncer, other_database: Database) -> Iterator[Gunicorn]:
    with serve(pooler, other_database, SERVER_PREPARE="no") as service:
        yield service


def serve(pooler: PgBouncer, other: Database, **settings: str):
    databases = {"default": pooler.database(), "other": pooler.database(other.name)}
    env = environment_for(databases, SERVER_STATEMENT_TIMEOUT="2", **settings)
    return start_gunicorn("-k", OWN_WORKER, "-w", "1", "--threads", "8", env=env, app=LEDGER)


def left_behind(pooler: PgBouncer) -> list[tuple[object, ...]]:
    """Of each session of the server: statements, settings, locks, cursors, temporary tables, READ ONLY."""
    clients = [pooler.database().connect() for _ in range(SESSIONS)]
    try:
        found = []
        for client in clients:  # a transaction in each, so that each has a session of its own
            with client.cursor() as cursor:
                cursor.execute(LEFT_BEHIND, (TRACKED,))
                found += cursor.fetchall()
    finally:
        for client in clients:
            client.close()
    assert len({pid for pid, *_ in found}) == SESSIONS
    return [tuple(rest) for _, *rest in found]


def use(service: Gunicorn) -> None:
    """Requests of every kind, each often enough for its statements to be worth preparing."""
    for number in range(8):
        entry = {"name": f"use-{number}", "amount": 1}
        assert requests.post(f"{service.url}/ledger/entries", json=entry, timeout=20).status_code == 201
        for path in ("/entries", "/session", "/consistent", "/stream?rows=3", "/entries/1"):
            assert requests.get(f"{service.url}/ledger{path}", timeout=20).status_code == 200
    assert requests.post(f"{service.url}/ledger/write-then-raise", timeout=20).status_code == 500
    assert requests.get(f"{service.url}/ledger/write-in-a-get", timeout=20).status_code == 500


def test_nothing_is_left_in_the_sessions_of_the_server(
    ledger: Gunicorn, entries: Database, pooler: PgBouncer
):
    use(ledger)
    assert left_behind(pooler) == [CLEAN] * SESSIONS


def test_with_prepare_the_pooler_is_noticed_and_nothing_is_prepared(
    entries: Database, pooler: PgBouncer, other_database: Database
):
    with serve(pooler, other_database) as service:
        use(service)
        assert service.log().count("a pooler is between us and the database") == 1
    assert left_behind(pooler) == [CLEAN] * SESSIONS
