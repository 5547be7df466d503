"""Reads go on while the database's connections die and while it restarts."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import PrivateServer

KILL = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name LIKE 'swagger_server worker%'"""


DEADLINE = 3  # seconds


class Load:
    """Clients that read one after another until they are told to stop, and what they were answered."""

    def __init__(self, url: str, clients: int) -> None:
        self._url = url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._read) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return self.answers.total()

    def wait_for(self, more: int) -> None:
        """Until so many more requests were answered."""
        target = self.total + more
        wait_until(lambda: self.total >= target, timeout=60)

    def _read(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                answer = session.get(self._url, timeout=30)
                with self._lock:
                    self.answers["200" if answer.ok else f"{answer.status_code} {answer.text}"] += 1


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer() as private:
        private.database().execute(TABLES)
        yield private


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def service(request: pytest.FixtureRequest, server: PrivateServer) -> Iterator[Gunicorn]:
    env = environment_for(
        {"default": server.database()}, SERVER_LOG_LEVEL="ERROR", SERVER_DEADLINE=str(DEADLINE)
    )
    arguments = ["-k", request.param, "-w", "4", "--threads", "8"]
    with start_gunicorn(*arguments, env=env, app=LEDGER) as started:
        yield started


def test_killing_all_backends_again_and_again_fails_no_read(service: Gunicorn, server: PrivateServer):
    database = server.database()
    with Load(f"{service.url}/ledger/entries", clients=16) as load:
        killed = 0
        for _ in range(20):
            load.wait_for(40)
            ((count,),) = database.execute(KILL)
            killed += count
        load.wait_for(40)
    assert killed >= 40
    assert load.answers == {"200": load.total}


def test_a_restart_of_the_database_fails_no_read(service: Gunicorn, server: PrivateServer):
    with Load(f"{service.url}/ledger/entries", clients=16) as load:
        load.wait_for(100)
        server.restart()
        load.wait_for(100)
    assert load.answers == {"200": load.total}


def test_a_frozen_database_is_a_503_or_504_in_time_and_is_used_again_once_thawed(
    service: Gunicorn, server: PrivateServer
):
    url = f"{service.url}/ledger/entries"
    server.freeze()
    try:
        # More at once than a worker has connections ready: some wait for an answer, some for a connection.
        with ThreadPoolExecutor(12) as clients:
            answers = list(clients.map(lambda _: requests.get(url, timeout=DEADLINE + 5), range(24)))
        assert requests.get(f"{service.url}/health/live", timeout=DEADLINE).ok
    finally:
        server.thaw()
    assert {answer.status_code for answer in answers} <= {503, 504}
    # Of every worker, whichever of them has the next connection.
    wait_until(lambda: all(requests.get(url, timeout=DEADLINE + 5).ok for _ in range(40)))
    with Load(url, clients=16) as load:
        load.wait_for(100)
    assert load.answers == {"200": load.total}
