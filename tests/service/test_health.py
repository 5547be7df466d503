"""Readiness while a database stands still: an answer in time, and none that outlives the trouble."""

import time
from collections.abc import Iterator

import pytest
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database, PrivateServer

IN_TIME = 3  # seconds; the service itself allows its databases one


@pytest.fixture(scope="module")
def frozen_and_thawed() -> Iterator[PrivateServer]:
    with PrivateServer() as server:
        yield server


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def service(
    request: pytest.FixtureRequest, frozen_and_thawed: PrivateServer, other_database: Database
) -> Iterator[Gunicorn]:
    env = environment_for({"default": frozen_and_thawed.database(), "other": other_database})
    with start_gunicorn("-k", request.param, "-w", "1", "--threads", "8", env=env, app=LEDGER) as started:
        yield started


def ready(service: Gunicorn) -> requests.Response:
    return requests.get(f"{service.url}/health/ready", timeout=20)


def test_a_database_that_stands_still_is_told_in_time(service: Gunicorn, frozen_and_thawed: PrivateServer):
    wait_until(lambda: ready(service).ok)
    frozen_and_thawed.freeze()
    try:
        # The first finds a connection that worked, those after it none.
        for _ in range(3):
            asked = time.monotonic()
            answer = ready(service)
            assert time.monotonic() - asked < IN_TIME
            assert answer.status_code == 503
            assert answer.json()["databases"] == {"default": "unavailable", "other": "ok"}
            assert answer.headers["Retry-After"] == "1"
    finally:
        frozen_and_thawed.thaw()
    wait_until(lambda: ready(service).ok)
    assert ready(service).json()["databases"] == {"default": "ok", "other": "ok"}


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def places_service(request: pytest.FixtureRequest, frozen_and_thawed: PrivateServer) -> Iterator[Gunicorn]:
    env = environment_for({"default": frozen_and_thawed.database()})
    with start_gunicorn("-k", request.param, "-w", "1", "--threads", "8", env=env) as started:
        yield started


def test_a_database_without_the_tables_is_not_ready(places_service: Gunicorn):
    wait_until(lambda: ready(places_service).json()["databases"] == {"default": "ok"})
    answer = ready(places_service)
    assert (answer.status_code, answer.json()["schema"]) == (503, 0)


@pytest.mark.parametrize("path", ["/v1/cities?q=par", "/v1/sites"])
def test_what_needs_tables_that_are_missing_is_503_and_the_log_says_what_to_run(
    places_service: Gunicorn, path: str
):
    answer = requests.get(places_service.url + path, headers={"X-API-Key": "sws_" + "x" * 43}, timeout=20)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["detail"] == "The database lacks what this service needs: it has not been set up."
    line = next(line for line in places_service.log().splitlines() if "lacks a table" in line)
    assert "run `python -m swagger_server migrate`, then `python -m swagger_server load-places`" in line
    assert "UndefinedTable: relation" in places_service.log()


def test_a_spec_of_ones_own_is_told_of_migrations_in_general(service: Gunicorn):
    answer = requests.get(f"{service.url}/ledger/entries", timeout=20)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "the database lacks a table; are all migrations applied?" in service.log()


def test_a_schema_that_cannot_be_read_is_told_in_time(
    places_service: Gunicorn, frozen_and_thawed: PrivateServer
):
    database = frozen_and_thawed.database()
    database.execute("CREATE TABLE schema_migration (name text, version integer)")
    lock = database.connect()
    try:
        with lock.cursor() as cursor:
            cursor.execute("LOCK schema_migration IN ACCESS EXCLUSIVE MODE")
        asked = time.monotonic()
        answer = ready(places_service)
        assert time.monotonic() - asked < IN_TIME
        assert (answer.status_code, answer.json()["databases"]) == (503, {"default": "unavailable"})
    finally:
        lock.close()
        database.execute("DROP TABLE schema_migration")
    wait_until(lambda: ready(places_service).json()["databases"] == {"default": "ok"})
