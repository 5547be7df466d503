"""A primary goes and its standby takes over, under writes: none that was acknowledged is lost, errors end soon."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database, ReplicatedServer

WRITERS = 4
FIRST_SUCCESS = 15  # seconds; it is a tenth of one where the machine has nothing else to do
SERVICE = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'swagger_server worker%'"


@dataclass(frozen=True)
class Pair:
    """A primary and its standby, named to the service as one database with two hosts."""

    old: ReplicatedServer
    new: ReplicatedServer

    def database(self) -> Database:
        both = [self.old.connect_kwargs, self.new.connect_kwargs]
        hosts, ports = (",".join(str(each[key]) for each in both) for key in ("host", "port"))
        return Database({**both[0], "host": hosts, "port": ports})


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ReplicatedServer() as old:
        old.database().execute(TABLES)
        with old.standby() as new:
            yield Pair(old, new)


@pytest.fixture
def service(pair: Pair) -> Iterator[Gunicorn]:
    env = environment_for({"default": pair.database()}, SERVER_LOG_LEVEL="WARNING")
    with start_gunicorn("-k", OWN_WORKER, "-w", "2", "--threads", "8", env=env, app=LEDGER) as started:
        yield started


@dataclass(frozen=True)
class Written:
    """One try to store an entry: when it was answered, by time.monotonic(), and how."""

    name: str
    at: float
    status: int


class Writers:
    """Clients that each store one entry after the other, under ever new names, until told to stop."""

    def __init__(self, service: Gunicorn) -> None:
        self._url = f"{service.url}/ledger/entries"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        self.tries: list[Written] = []

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        with requests.Session() as session:
            count = 0
            while not self._stop.is_set():
                name, count = f"{writer}-{count}", count + 1
                answer = session.post(self._url, json={"name": name, "amount": 1}, timeout=60)
                self.tries.append(Written(name, time.monotonic(), answer.status_code))

    def stored(self, since: float = 0.0) -> list[Written]:
        return [each for each in list(self.tries) if each.status == 201 and each.at > since]

    def failed(self, since: float = 0.0) -> list[Written]:
        return [each for each in list(self.tries) if each.status != 201 and each.at > since]

    def wait_for(self, more: int) -> None:
        """Until so many more entries were stored."""
        wanted = len(self.stored()) + more
        wait_until(lambda: len(self.stored()) >= wanted, 60, lambda: repr(self.tries[-5:]))


def stop_it(pair: Pair) -> None:
    """As somebody does who switches over: a server that is stopped sends all it has to its standby first."""
    pair.old.stop("fast")


def kill_it(pair: Pair) -> None:
    """As a crash does; what was acknowledged is at the standby because commits wait for it."""
    pair.old.stop("kill")


def fence_it(pair: Pair) -> None:
    """Have it refuse writes without ending its sessions."""
    make_read_only(pair.old)
    pair.new.wait_for(pair.old)


def make_read_only(server: ReplicatedServer) -> None:
    server.database().execute("ALTER SYSTEM SET default_transaction_read_only = on")
    server.database().execute("SELECT pg_reload_conf()")
    # A transaction that began before may still be committed.
    wait_until(lambda: server.database().execute(WRITING) == [(0,)])


WRITING = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"


def wait_for_standby(pair: Pair) -> None:
    """Have commits wait for the standby from now on."""
    pair.old.database().execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    pair.old.database().execute("SELECT pg_reload_conf()")
    wait_until(
        lambda: pair.old.database().execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)]
    )


@pytest.mark.parametrize("take_away", [stop_it, kill_it, fence_it])
def test_no_write_is_lost_and_errors_end_when_the_standby_has_taken_over(
    pair: Pair, service: Gunicorn, take_away: Callable[[Pair], None], record_property: Callable[..., None]
):
    wait_for_standby(pair)
    with Writers(service) as writers:
        writers.wait_for(50)
        take_away(pair)
        taken_away = time.monotonic()
        wait_until(lambda: writers.failed(taken_away) or any(slow(writers, taken_away)))
        pair.new.promote()
        promoted = time.monotonic()
        writers.wait_for(1)
        first = min(each.at for each in writers.stored(promoted)) - promoted
        if take_away is stop_it:
            pair.old.follow(pair.new)
            pair.old.start()
        writers.wait_for(200)
    last_error = max((each.at for each in writers.failed()), default=promoted) - promoted
    record_property("seconds from the promotion to the first success", round(first, 3))
    record_property("seconds from the promotion to the last error", round(last_error, 3))
    print(
        f"{take_away.__name__}: first success {first:.3f} s, last error {last_error:.3f} s after the promotion"
    )
    assert {each.status for each in writers.failed()} <= {503}
    assert first < FIRST_SUCCESS
    assert last_error < 1
    kept = [name for (name,) in pair.new.database().execute("SELECT name FROM entry")]
    assert {each.name for each in writers.stored()} <= set(kept)
    assert len(kept) == len(set(kept))
    if take_away is not kill_it:
        # A worker that wrote nothing meanwhile notices with its first answer from there.
        for _ in range(20):
            assert requests.get(f"{service.url}/ledger/entries", timeout=60).ok
        wait_until(lambda: pair.old.database().execute(SERVICE) == [(0,)])


def slow(writers: Writers, since: float) -> Iterator[bool]:
    """Whether nothing was stored for half a second: callers wait for a database that has just gone."""
    yield time.monotonic() - since > 0.5 and not writers.stored(since + 0.1)


def test_a_write_that_did_not_reach_the_standby_in_time_is_not_acknowledged():
    with ReplicatedServer() as alone:
        alone.database().execute(TABLES)
        alone.database().execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        alone.database().execute("SELECT pg_reload_conf()")
        env = environment_for({"default": alone.database()}, SERVER_DEADLINE="1")
        with start_gunicorn("-k", OWN_WORKER, "-w", "1", "--threads", "8", env=env, app=LEDGER) as service:
            entry = {"name": "unheard", "amount": 1}
            answer = requests.post(f"{service.url}/ledger/entries", json=entry, timeout=20)
            assert answer.status_code == 504
            assert requests.get(f"{service.url}/ledger/entries", timeout=20).status_code == 200
