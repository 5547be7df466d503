"""Pools for tests: on a database of the test's own, closed at its end."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from swagger_server.pool import ConnectionPool, PoolClosed, PoolOptions
from tests.pool.tools import kill_sessions
from tests.support.proxy import Proxy
from tests.support.servers import Database, temporary_database

MakePool = Callable[..., ConnectionPool]


@pytest.fixture(scope="session")
def pool_database(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"pool_{os.getpid()}") as fresh:
        yield fresh


@pytest.fixture
def database(pool_database: Database) -> Iterator[Database]:
    """One database for all these tests, swept after each: making one takes longer than most of them."""
    yield pool_database
    kill_sessions(pool_database)
    pool_database.execute("DROP SCHEMA public CASCADE")
    pool_database.execute("CREATE SCHEMA public")


@pytest.fixture
def connect_arguments(database: Database) -> dict[str, Any]:
    """How the pools reach the database."""
    return database.connect_kwargs


@pytest.fixture
def make_pool(connect_arguments: dict[str, Any]) -> Iterator[MakePool]:
    """`make_pool(minconn, maxconn, option=..., connect={...})`."""
    made: list[ConnectionPool] = []

    def make(
        minconn: int = 1, maxconn: int = 4, connect: dict[str, Any] | None = None, **options: Any
    ) -> ConnectionPool:
        kwargs = connect_arguments if connect is None else connect
        pool = ConnectionPool(minconn, maxconn, options=PoolOptions(**options), **kwargs)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        with suppress(PoolClosed):
            pool.closeall()


@pytest.fixture
def proxy(connect_arguments: dict[str, Any]) -> Iterator[Proxy]:
    """A proxy in front of the test's database."""
    with Proxy.before(connect_arguments) as running:
        yield running


@pytest.fixture
def through_proxy(connect_arguments: dict[str, Any], proxy: Proxy) -> dict[str, Any]:
    """Connection arguments for the test's database by way of the proxy."""
    return proxy.through(connect_arguments)
