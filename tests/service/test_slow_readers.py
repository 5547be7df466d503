"""An export that its client does not read is cut off, one that it reads slowly is not; under each worker class."""

import os
import socket
import time
from collections.abc import Iterator

import pytest

from tests.service.conftest import environment_for
from tests.sites.support import Caller, caller, export_slowly, fill
from tests.support.process import OWN_WORKER, start_gunicorn, wait_until
from tests.support.servers import Database, temporary_database

WORKERS = ["sync", "gthread", "gevent", "asgi", "uvicorn_worker.UvicornWorker", OWN_WORKER]
PATIENCE = 0.5  # seconds
SITES = 2000
LAST_CHUNK = b"\r\n0\r\n\r\n"

SITES_OF_EVE = f"""
INSERT INTO site (owner, name, search_key, country_iso2, attributes)
SELECT 'eve', 'Shop ' || n, 'shop ' || n, 'FR', jsonb_build_object('a', repeat('x', 10000))
FROM generate_series(1, {SITES}) AS n"""


@pytest.fixture(scope="module")
def full(postgres: Database) -> Iterator[Database]:
    """A database with more sites of Eve's than any socket holds."""
    with temporary_database(postgres, f"full_{os.getpid()}") as database:
        fill(database)
        database.execute(SITES_OF_EVE)
        yield database


@pytest.mark.parametrize("worker", WORKERS)
def test_who_reads_nothing_of_an_export_is_cut_off_and_who_reads_slowly_gets_all_of_it(
    full: Database, worker: str
):
    env = environment_for({"default": full}, BULK_PATIENCE=str(PATIENCE), BULK_PER_OWNER="1")
    with start_gunicorn("-k", worker, "-w", "1", "--threads", "4", env=env) as started:
        eve = caller(full, started.url, "eve")
        with export_slowly(eve) as client:
            assert client.recv(12) == b"HTTP/1.1 200"
            if worker != "sync":  # which has no time for anybody else
                assert eve.ask("GET", "/sites/export").status_code == 429
            wait_until(lambda: _exported(eve) == SITES + 1)
            # What the client has been sent must not look like the whole of it.
            with pytest.raises(ConnectionResetError):
                _rest_of(client)
        with export_slowly(eve, buffer=65_536) as client:
            until = time.monotonic() + 4 * PATIENCE
            while time.monotonic() < until:
                assert client.recv(32_768)
                time.sleep(0.1)
            assert _rest_of(client).endswith(LAST_CHUNK)
        assert "Traceback" not in started.log(), started.log()


def _exported(eve: Caller) -> int:
    """Lines; none where it is refused."""
    answer = eve.ask("GET", "/sites/export")
    return len(answer.content.splitlines()) if answer.ok else 0


def _rest_of(client: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(LAST_CHUNK) and (piece := client.recv(65_536)):
        received += piece
    return bytes(received)
