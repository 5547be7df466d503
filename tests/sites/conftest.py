"""A service with a few places and two owners of sites. Its login is above all policies, the worst that can be."""

import os
from collections.abc import Iterator

import pytest

from tests.service.conftest import environment_for
from tests.sites.support import Caller, caller, fill
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database


@pytest.fixture(scope="package")
def books(postgres: Database) -> Iterator[Database]:
    """The service's database."""
    with temporary_database(postgres, f"sites_{os.getpid()}") as database:
        fill(database)
        yield database


@pytest.fixture(scope="package")
def service(books: Database) -> Iterator[Gunicorn]:
    patience = {
        "SERVER_STATEMENT_TIMEOUT": "30",
        "SERVER_DEADLINE": "30",
    }  # what waits here is let go by the test
    env = environment_for({"default": books}, **patience)
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env) as started:
        yield started


@pytest.fixture(scope="package")
def ada(books: Database, service: Gunicorn) -> Caller:
    return caller(books, service.url, "ada")


@pytest.fixture(scope="package")
def bob(books: Database, service: Gunicorn) -> Caller:
    return caller(books, service.url, "bob")


@pytest.fixture
def empty(books: Database) -> Database:
    """The database, without any site."""
    books.execute("TRUNCATE site, idempotency_key")
    return books
