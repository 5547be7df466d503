"""Sites behind PgBouncer in transaction mode: roles and claims stay with the transaction that they are of."""

import os
from collections.abc import Iterator

import pytest

from tests.pgbouncer.test_service import CLEAN, SESSIONS, left_behind
from tests.service.conftest import environment_for
from tests.sites.conftest import empty
from tests.sites.support import Caller, caller, fill
from tests.sites.test_changes import (
    test_of_sixteen_clients_each_success_is_one_version,
    test_of_two_at_once_the_second_waits_and_gets_the_answer_of_the_first,
    test_the_same_key_and_body_give_the_same_answer,
    test_when_the_first_dies_half_way_the_second_does_the_work,
)
from tests.sites.test_owners import test_an_owner_has_only_what_is_its_own
from tests.support.pgbouncer import PgBouncer
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database

__all__ = [
    "empty",
    "test_an_owner_has_only_what_is_its_own",
    "test_of_sixteen_clients_each_success_is_one_version",
    "test_of_two_at_once_the_second_waits_and_gets_the_answer_of_the_first",
    "test_the_same_key_and_body_give_the_same_answer",
    "test_when_the_first_dies_half_way_the_second_does_the_work",
]

STRANGER = """
SELECT current_user = session_user, coalesce(current_setting('request.owner', true), '')"""


@pytest.fixture(scope="module")
def books(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"bounced_sites_{os.getpid()}") as database:
        fill(database)
        yield database


@pytest.fixture(scope="module")
def pooler(books: Database) -> Iterator[PgBouncer]:
    with PgBouncer(books, size=SESSIONS) as running:
        yield running


@pytest.fixture(scope="module")
def service(pooler: PgBouncer) -> Iterator[Gunicorn]:
    env = environment_for(
        {"default": pooler.database()},
        SERVER_PREPARE="no",
        SERVER_STATEMENT_TIMEOUT="30",
        SERVER_DEADLINE="30",
    )
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env) as started:
        yield started


@pytest.fixture(scope="module")
def ada(books: Database, service: Gunicorn) -> Caller:
    return caller(books, service.url, "ada")


@pytest.fixture(scope="module")
def bob(books: Database, service: Gunicorn) -> Caller:
    return caller(books, service.url, "bob")


def test_neither_role_nor_claim_is_left_in_the_sessions_of_the_server(
    ada: Caller, bob: Caller, empty: Database, pooler: PgBouncer
) -> None:
    for owner in (ada, bob) * SESSIONS:
        site = owner.add()["id"]
        owner.patch(site, {"name": "New"})
        assert set(owner.names()) == {"New"}
        owner.add(city_id=1, status=409)
    assert left_behind(pooler) == [CLEAN] * SESSIONS
    for _ in range(SESSIONS):
        assert pooler.database().execute(STRANGER) == [(True, "")]
