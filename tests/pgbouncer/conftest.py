"""The pool's fixtures, with a PgBouncer between the pools and the server."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pool.conftest import database, make_pool, proxy, through_proxy
from tests.support.pgbouncer import PgBouncer, missing
from tests.support.servers import Database, temporary_database

__all__ = ["database", "make_pool", "proxy", "through_proxy"]


@pytest.fixture(scope="session", autouse=True)
def _pgbouncer_is_here() -> None:
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def pool_database(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"bounced_pool_{os.getpid()}") as fresh:
        yield fresh


@pytest.fixture(scope="session")
def bouncer(pool_database: Database) -> Iterator[PgBouncer]:
    with PgBouncer(pool_database) as running:
        yield running


@pytest.fixture
def connect_arguments(bouncer: PgBouncer, database: Database) -> dict[str, Any]:
    """How the pools reach the database."""
    return bouncer.connect_kwargs
