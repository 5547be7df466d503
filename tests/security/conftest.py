"""The service with the tables that it needs, and keys for two owners."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import requests

from swagger_server.key_store import create_key, new_key
from swagger_server.schema import migrate
from tests.service.conftest import environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database

Make = Callable[..., tuple[str, str]]


def make_key(database: Database, owner: str = "ada", *scopes: str, **more: object) -> tuple[str, str]:
    """A key and its id; of the scope admin where none is said."""
    key = new_key()
    with closing(database.connect()) as conn, conn:
        return key, create_key(conn, key, owner, scopes or ("admin",), **more)  # type: ignore[arg-type]


def ask(service: Gunicorn, key: str | None = None, method: str = "GET", path: str = "/keys", **headers: str):
    """The answer to a request with a key."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["X-API-Key"] = key
    return requests.request(method, f"{service.url}/v1{path}", headers=sent, timeout=30)


@pytest.fixture(scope="package")
def database_of_keys(postgres: Database) -> Iterator[Database]:
    """A database without any places."""
    with temporary_database(postgres, f"keys_{os.getpid()}") as database:
        with closing(database.connect()) as conn:
            migrate(conn)
        yield database


@pytest.fixture(scope="package", params=["gthread", OWN_WORKER])
def service(request: pytest.FixtureRequest, database_of_keys: Database) -> Iterator[Gunicorn]:
    """One worker of a WSGI and of an ASGI class, which log all that they can."""
    env = environment_for({"default": database_of_keys}, SERVER_LOG_LEVEL="DEBUG")
    with start_gunicorn("-k", request.param, "-w", "1", "--threads", "4", env=env) as running:
        yield running


@pytest.fixture
def make(database_of_keys: Database) -> Make:
    """Makes keys for the service."""
    return lambda *args, **more: make_key(database_of_keys, *args, **more)
