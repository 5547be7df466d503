"""The second spec's service: its tables in a database of its own, and gunicorn processes that serve it."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database

LEDGER = "tests.second_spec.wsgi"

TABLES = """
CREATE TABLE entry (
    number serial PRIMARY KEY, name text UNIQUE NOT NULL, amount numeric CHECK (amount > 0)
);
CREATE TABLE deferred (entry integer REFERENCES entry DEFERRABLE INITIALLY DEFERRED);
"""


def environment_for(databases: Mapping[str, Database], **more: str) -> dict[str, str]:
    """The variables that name the databases to the service ("default" is [POSTGRES])."""
    variables: dict[str, str] = {}
    for name, database in databases.items():
        prefix = "POSTGRES" if name == "default" else f"POSTGRES_{name.upper()}"
        arguments: dict[str, Any] = database.connect_kwargs
        keys = {"URL": "host", "PORT": "port", "USER": "user", "DB": "dbname", "PW": "password"}
        variables |= {f"{prefix}_{k}": str(arguments[v]) for k, v in keys.items() if arguments.get(v)}
    return {**variables, **more}


@pytest.fixture(scope="module")
def ledger_database(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"ledger_{os.getpid()}") as database:
        database.execute(TABLES)
        yield database


@pytest.fixture(scope="module")
def other_database(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"other_{os.getpid()}") as database:
        yield database


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def ledger(
    request: pytest.FixtureRequest, ledger_database: Database, other_database: Database, tmp_path_factory: Any
) -> Iterator[Gunicorn]:
    """The second spec's service with one worker, under a WSGI and under an ASGI worker class."""
    databases = {"default": ledger_database, "other": other_database}
    env = environment_for(databases, SERVER_STATEMENT_TIMEOUT="2")
    arguments = ["-k", request.param, "-w", "1", "--threads", "8"]
    with start_gunicorn(*arguments, env=env, app=LEDGER) as service:
        yield service


@pytest.fixture
def entries(ledger_database: Database) -> Database:
    """The ledger's database, with no entries."""
    ledger_database.execute("TRUNCATE entry RESTART IDENTITY CASCADE")
    return ledger_database
