"""Rolling restarts under load: whoever asks meanwhile is answered, and no connection of an ended worker is left."""

import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.support.clients import Clients
from tests.support.exposition import Scrape
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database, free_port, temporary_database

SESSIONS = """SELECT DISTINCT substring(application_name FROM '\\d+$')::integer FROM pg_stat_activity
    WHERE application_name LIKE 'swagger_server worker%' AND datname = current_database()"""

PATIENCE = 60  # seconds
PATH = "/ledger/entries"
CONTROLLERS = "tests.second_spec.controllers"
CLIENTS = 8
KEEP_ALIVE = "20"
"""Seconds: a client that a busy machine stops for some time must not find its connection closed for that."""

_numbers = itertools.count(1)


@dataclass
class Running:
    """A service of two workers on a database of its own."""

    service: Gunicorn
    database: Database

    def sessions(self) -> set[int]:
        """The pids of the workers that have connections to the database."""
        return {pid for (pid,) in self.database.execute(SESSIONS)}

    def clients(self) -> Clients:
        return Clients(self.service.url + PATH, CLIENTS)

    def wait_for_workers(
        self, count: int, *gone: int, workers: Callable[[], list[int]] | None = None
    ) -> None:
        """Until `count` workers serve, those `gone` have ended, and nobody else has a connection."""
        find = workers or self.service.workers

        def are_there() -> bool:
            now = set(find())
            return len(now) == count and not now & set(gone) and self.sessions() == now

        wait_until(are_there, PATIENCE, explain=lambda: f"workers {find()}, with sessions {self.sessions()}")


@contextmanager
def started(postgres: Database, worker: str, *more: str, **env: str) -> Iterator[Running]:
    with temporary_database(postgres, f"restarts_{os.getpid()}_{next(_numbers)}") as database:
        database.execute(TABLES)
        variables = environment_for({"default": database}, SERVER_LOG_LEVEL="ERROR", **env)
        arguments = ["-k", worker, "-w", "2", "--threads", "8", "--keep-alive", KEEP_ALIVE, *more]
        with start_gunicorn(*arguments, env=variables, app=LEDGER) as service:
            running = Running(service, database)
            running.wait_for_workers(2)
            yield running


@pytest.fixture(scope="module")
def running(postgres: Database) -> Iterator[Running]:
    with started(postgres, OWN_WORKER) as service:
        yield service


def assert_nothing_lost(load: Clients, most_asked_again: int = 0) -> None:
    assert load.lost == []
    assert load.asked_again <= most_asked_again
    assert load.outcomes["200"] == load.total > 0


def reload(running: Running, load: Clients) -> None:
    """SIGHUP: new workers of the same master."""
    old = running.service.workers()
    running.service.send(signal.SIGHUP)
    running.wait_for_workers(2, *old)
    load.wait_for(50)


def successor(service: Gunicorn) -> psutil.Process | None:
    """The master that SIGUSR2 has started, once it has its workers."""
    for child in psutil.Process(service.pid).children():
        with suppress(psutil.NoSuchProcess):  # a worker that has just ended
            if len(child.children()) == 2:
                return child
    return None


@contextmanager
def handed_over(running: Running, load: Clients) -> Iterator[None]:
    """SIGUSR2, and SIGTERM to the old master once the new one serves; the new one is stopped at the end."""
    service = running.service
    old = service.workers()
    service.send(signal.SIGUSR2)
    wait_until(lambda: successor(service) is not None, PATIENCE, service.log)
    master = successor(service)
    assert master is not None

    def workers() -> list[int]:
        return [child.pid for child in master.children()]

    try:
        wait_until(lambda: running.sessions() == {*old, *workers()}, PATIENCE, service.log)
        load.wait_for(50)
        service.send(signal.SIGTERM)
        assert service.wait(PATIENCE) == 0
        running.wait_for_workers(2, *old, workers=workers)
        load.wait_for(50)
        assert service.log().count("Handling signal: term") == 1
        yield
    finally:
        master.send_signal(signal.SIGTERM)
        service.wait_until_alone(PATIENCE)


def test_reload_loses_no_request(running: Running) -> None:
    with running.clients() as load:
        reload(running, load)
    assert_nothing_lost(load)


def test_more_and_fewer_workers_lose_no_request(running: Running) -> None:
    with running.clients() as load:
        running.service.send(signal.SIGTTIN)
        running.wait_for_workers(3)
        load.wait_for(50)
        running.service.send(signal.SIGTTOU)
        running.wait_for_workers(2)
        load.wait_for(50)
    assert_nothing_lost(load)


def test_killed_worker_loses_only_what_it_held(running: Running) -> None:
    with running.clients() as load:
        killed = running.service.workers()[0]
        os.kill(killed, signal.SIGKILL)
        running.wait_for_workers(2, killed)
        load.wait_for(CLIENTS)
        lost = len(load.lost)
        # A client has one request at a time, and the other worker was not hurt.
        assert lost + load.asked_again <= CLIENTS
        load.wait_for(100)
    assert len(load.lost) == lost
    assert {outcome.split(":")[0] for outcome, _ in load.lost} <= {
        "ConnectionResetError",
        "RemoteDisconnected",
    }


@pytest.mark.parametrize(
    ("worker", "how"), [(OWN_WORKER, ()), (OWN_WORKER, ("--preload",)), ("gthread", ()), ("asgi", ())]
)
def test_handing_over_to_another_master_loses_no_request(
    postgres: Database, worker: str, how: tuple[str, ...]
) -> None:
    with started(postgres, worker, *how) as running, running.clients() as load:
        if worker != OWN_WORKER:  # whose reload has a test of its own
            reload(running, load)
        with handed_over(running, load):
            load.stop()
    # gunicorn's asgi worker may close a connection that its last answer has promised to keep.
    assert_nothing_lost(load, most_asked_again=CLIENTS if worker == "asgi" else 0)


def test_counts_go_on_in_the_next_master(postgres: Database) -> None:
    values = (f"{CONTROLLERS}.values", "GET", "200")
    with started(postgres, "gthread") as running:
        service, asked = running.service, 0

        def ask() -> None:
            nonlocal asked
            asked += 1
            assert requests.get(f"{service.url}/ledger/values", timeout=30).ok
            assert Scrape(service).answers()[values] == asked

        for _ in range(5):
            ask()
        folders = [folder_of(service.pid)]
        service.send(signal.SIGUSR2)
        wait_until(lambda: successor(service) is not None, PATIENCE, service.log)
        master = successor(service)
        assert master is not None
        try:
            wait_until(lambda: Scrape(service).value("swagger_server_workers") == 4, PATIENCE)
            for _ in range(20):  # whoever of the two masters' workers answers
                ask()
            folders.append(folder_of(master.pid))
            service.send(signal.SIGTERM)
            assert service.wait(PATIENCE) == 0
            wait_until(lambda: Scrape(service).value("swagger_server_workers") == 2, PATIENCE)
            ask()
            first = {child.pid for child in master.children()}
            # Once it is alone, a master has nothing in its environment that tells of the other one.
            wait_until(lambda: "Master has been promoted" in service.log(), PATIENCE)
            master.send_signal(signal.SIGHUP)
            wait_until(lambda: not first & {child.pid for child in master.children()}, PATIENCE)
            wait_until(lambda: Scrape(service).value("swagger_server_workers") == 2, PATIENCE)
            ask()
        finally:
            master.send_signal(signal.SIGTERM)
            service.wait_until_alone(PATIENCE)
    assert [folder for folder in folders if os.path.lexists(folder)] == []


def test_a_master_that_goes_back_to_the_old_one_leaves_it_the_counts(postgres: Database) -> None:
    with started(postgres, "gthread") as running:
        service = running.service
        assert requests.get(f"{service.url}/ledger/values", timeout=30).ok
        service.send(signal.SIGUSR2)
        wait_until(lambda: successor(service) is not None, PATIENCE, service.log)
        master = successor(service)
        assert master is not None
        wait_until(lambda: Scrape(service).value("swagger_server_workers") == 4, PATIENCE)
        link = folder_of(master.pid)
        master.send_signal(signal.SIGTERM)
        wait_until(lambda: not os.path.lexists(link), PATIENCE)
        wait_until(lambda: Scrape(service).value("swagger_server_workers") == 2, PATIENCE)
        assert Scrape(service).answers()[f"{CONTROLLERS}.values", "GET", "200"] == 1
        folder = folder_of(service.pid)
    assert not folder.exists()


def folder_of(master: int) -> Path:
    """What is under a master's name, a folder or a link."""
    [folder] = Path(tempfile.gettempdir()).glob(f"swagger_server-{os.geteuid()}-{master}-*")
    return folder


def test_recycled_workers_lose_no_request(postgres: Database) -> None:
    limits = ("--max-requests", "100", "--max-requests-jitter", "50")
    with started(postgres, OWN_WORKER, *limits) as running:
        first, service = running.service.workers(), running.service
        with running.clients() as load:
            wait_until(lambda: service.log().count("Booting worker") >= 5, PATIENCE)
        assert_nothing_lost(load)
        running.wait_for_workers(2, *first)


def test_two_versions_side_by_side_on_one_port_lose_no_request(postgres: Database) -> None:
    """Each worker has a listening socket of its own then, which ends with it."""
    shared = f"127.0.0.1:{free_port()}"
    port = ("--reuse-port", "-b", shared)

    def version() -> int:
        answer = requests.get(f"http://{shared}/ledger/session", timeout=30).json()
        return int(answer["options"]["maxconn"])

    with started(postgres, OWN_WORKER, *port, POOL_MAX="3"):
        with Clients(f"http://{shared}{PATH}", CLIENTS) as load:
            with started(postgres, OWN_WORKER, *port, POOL_MAX="4"):
                wait_until(lambda: version() == 3, PATIENCE)
                wait_until(lambda: version() == 4, PATIENCE)
            load.wait_for(50)
            assert version() == 3
        assert_nothing_lost(load)
