"""A client that goes away leaves nothing running, under the servers that can tell."""

import socket
from collections.abc import Iterator

import pytest
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

RUNNING = (
    "SELECT pid FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND pid <> pg_backend_pid()"
)


@pytest.fixture(scope="module", params=["asgi", OWN_WORKER])
def asgi_ledger(request: pytest.FixtureRequest, ledger_database: Database) -> Iterator[Gunicorn]:
    # A long limit: what ends the query is not its time.
    env = environment_for({"default": ledger_database}, SERVER_STATEMENT_TIMEOUT="120")
    with start_gunicorn("-k", request.param, "-w", "1", env=env, app=LEDGER) as service:
        yield service


def running(database: Database, text: str) -> list[int]:
    return [pid for (pid,) in database.execute(RUNNING, (f"%{text}%",))]


def hang_up(service: Gunicorn, database: Database, path: str, text: str) -> None:
    """Ask for `path`, wait until its query runs, and go away."""
    with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1]))) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_until(lambda: running(database, text))


def test_its_query_ends_in_the_server_and_its_connection_is_given_back(
    asgi_ledger: Gunicorn, ledger_database: Database
):
    hang_up(asgi_ledger, ledger_database, "/ledger/sleep?seconds=100", "pg_sleep(100")
    wait_until(lambda: not running(ledger_database, "pg_sleep(100"), timeout=5)
    url = f"{asgi_ledger.url}/ledger/session"
    wait_until(lambda: requests.get(url, timeout=10).json()["in_use"] == 1)


def test_a_client_that_stays_is_answered_however_long_it_takes(asgi_ledger: Gunicorn):
    answer = requests.get(f"{asgi_ledger.url}/ledger/sleep?seconds=1.5", timeout=10)
    assert answer.json() == {"slept": 1.5}
