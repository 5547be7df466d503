"""The service with a few places and two owners, and one that breaks its contract on purpose."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.verifying import NODE_PROGRAMS, UNLIMITED, Callers
from tests.service.conftest import environment_for
from tests.sites.support import fill
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database


@pytest.fixture(scope="package")
def few_places(postgres: Database) -> Iterator[Database]:
    """The service's database."""
    with temporary_database(postgres, f"contract_{os.getpid()}") as database:
        fill(database)
        yield database


@pytest.fixture(scope="package")
def callers(few_places: Database, tmp_path_factory: pytest.TempPathFactory) -> Callers:
    """Two owners with keys."""
    return Callers(few_places, tmp_path_factory.mktemp("callers"))


@pytest.fixture(scope="package")
def sound(few_places: Database, callers: Callers) -> Iterator[Gunicorn]:
    """The service, where each owner has sites."""
    patient = {"SERVER_STATEMENT_TIMEOUT": "20", "SERVER_DEADLINE": "25"}
    env = environment_for({"default": few_places}, **UNLIMITED, **patient)
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env) as service:
        callers.add_sites(service.url)
        yield service


@pytest.fixture(scope="package")
def strict(few_places: Database) -> Iterator[Gunicorn]:
    """The service, for two reads a day."""
    env = environment_for({"default": few_places}, **{**UNLIMITED, "LIMITS_READS_PER_ADDRESS": "2/day"})
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env) as service:
        yield service


@pytest.fixture(scope="package")
def faulty() -> Iterator[Gunicorn]:
    """The service that breaks its contract."""
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", app="tests.contract.faulty.wsgi") as service:
        yield service


@pytest.fixture(scope="package")
def node_programs() -> Path:
    """Where the programs from npm are."""
    if not (NODE_PROGRAMS / "tsc").exists():
        pytest.skip("the programs from npm are not installed: make check installs them")
    return NODE_PROGRAMS
