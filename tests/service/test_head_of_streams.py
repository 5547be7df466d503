"""HEAD of an answer that would be a stream: nothing is kept of it, and nobody else notices."""

import os
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.service.conftest import environment_for
from tests.service.test_workers import WORKERS
from tests.sites.support import caller, fill
from tests.support.process import start_gunicorn, wait_until
from tests.support.servers import Database, temporary_database

IN_TRANSACTION = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%%'"""


@pytest.fixture(scope="module")
def books(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"heads_{os.getpid()}") as database:
        fill(database)
        yield database


@pytest.mark.parametrize("worker", WORKERS)
def test_a_head_of_a_stream_keeps_no_connection_and_harms_no_other_client(books: Database, worker: str):
    env = environment_for({"default": books}, POOL_MAX="2", POOL_MIN="1")
    with start_gunicorn("-k", worker, "-w", "1", "--threads", "4", env=env) as service:
        ada = caller(books, service.url, "ada", "read")
        began = len(service.log())
        with closing(HTTPConnection(service.url.removeprefix("http://"), timeout=20)) as bystander:
            for _ in range(20):
                head = ada.ask("HEAD", "/sites/export")
                assert (head.status_code, head.headers.get("Content-Length")) == (200, None)
                bystander.request("GET", "/v1/cities?q=par")
                answer = bystander.getresponse()
                assert (answer.status, b"Paris" in answer.read()) == (200, True)
        wait_until(lambda: books.execute(IN_TRANSACTION) == [(0,)], 5)
        assert ada.ask("GET", "/sites/export").status_code == 200
        log = service.log()[began:]
    assert not any(word in log for word in ("Traceback", "WARNING", "ERROR", "Context")), log
