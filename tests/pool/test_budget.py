"""A budget that several processes share: it holds, idle shares move, and the dead keep nothing."""

import errno
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from swagger_server.pool import Budget, ConnectionPool, PoolOptions, PoolTimeout, interrupting
from tests.pool.test_fork import Child
from tests.pool.tools import ask, borrow, in_background, sessions, warm_up
from tests.support.process import CHECKOUT, wait_until
from tests.support.servers import Database, PrivateServer

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

SAMPLE = """
SELECT coalesce(array_agg(pid || ' ' || backend_start), '{}') FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
AND backend_type = 'client backend'"""


class Worker:
    """A process with a pool; `worker.borrow(count=2)` has it do that, and gives the outcome."""

    def __init__(self, budget: dict[str, Any], database: Database, minconn: int, maxconn: int) -> None:
        given = {**budget, "minconn": minconn, "maxconn": maxconn, "arguments": database.connect_kwargs}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.pool.budget_worker", json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            text=True,
        )
        assert self._answer() == "ready"

    def __getattr__(self, step: str) -> Callable[..., Any]:
        def do(**arguments: Any) -> Any:
            self.tell(step, **arguments)
            return self._answer()

        return do

    def tell(self, step: str, **arguments: Any) -> None:
        """Have it begin something whose outcome `hear` gives."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([step, arguments]) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        with self.process, suppress(BrokenPipeError):
            self.process.kill()


class Sampler:
    """Counts the clients' sessions of a database again and again; `most` is what it has seen.

    The server's own processes are in its list too, autovacuum's once a minute.

    The server looks at one session after the other, and may be held up in between: those count that are there in
    two looks, and so were there together between these.
    """

    def __init__(self, database: Database) -> None:
        self.most = 0
        self.samples = 0
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        with closing(self._database.connect()) as conn:
            conn.autocommit = True
            before: set[str] = set()
            while not self._stop.wait(0.001):
                now = set(ask(conn, SAMPLE))
                self.most = max(self.most, len(now & before))
                before = now
                self.samples += 1


Start = Callable[..., Worker]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "budget")


@pytest.fixture
def start(database: Database, path: str) -> Iterator[Start]:
    """`start(size, minconn, maxconn)`: a worker process on the test's budget."""
    started: list[Worker] = []

    def one(size: int, minconn: int = 1, maxconn: int = 8) -> Worker:
        started.append(Worker({"path": path, "size": size}, database, minconn, maxconn))
        return started[-1]

    yield one
    for worker in started:
        worker.end()


def test_the_budget_bounds_all_processes_together_and_everybody_gets_on(
    start: Start, database: Database
) -> None:
    with Sampler(database) as sampler:
        workers = [start(4) for _ in range(3)]
        for worker in workers:
            worker.load(threads=6)
        wait_until(lambda: all(worker.turns() > 200 for worker in workers))
        workers[0].kill()
        workers[0] = start(4)
        workers[0].load(threads=6)
        wait_until(lambda: workers[0].turns() > 200)
        for worker in workers:
            worker.rest()
    assert sampler.most == 4
    assert sampler.samples > 50


def test_fewer_shares_than_busy_processes_go_round(start: Start, database: Database) -> None:
    with Sampler(database) as sampler:
        workers = [start(2) for _ in range(4)]
        for worker in workers:
            worker.load(threads=2)
        for goal in (30, 60, 90):
            wait_until(lambda goal=goal: all(worker.turns() > goal for worker in workers))
        for worker in workers:
            worker.rest()
    assert sampler.most == 2
    assert [worker.stats()["exhausted"] for worker in workers] == [0] * 4


def test_an_idle_share_goes_to_a_worker_that_waits_with_nothing(start: Start) -> None:
    rich, poor = start(3, minconn=3), start(3)
    wait_until(lambda: [worker.stats()["total"] for worker in (rich, poor)] == [3, 0])
    assert poor.borrow() == "ok"
    given = rich.stats()
    assert (given["total"], given["ceded"], given["budget"], given["budget_used"]) == (2, 1, 3, 3)
    assert poor.stats()["longest_wait"] < 1


def test_the_only_idle_share_goes_too_and_comes_back(start: Start) -> None:
    one, other = start(1), start(1)
    for _ in range(3):
        for worker in (other, one):
            assert worker.borrow() == "ok"
            worker.give_back()


def test_a_share_in_use_goes_when_it_comes_back_to_who_has_less(start: Start) -> None:
    rich, poor = start(4, minconn=4), start(4)
    rich.load(threads=8)
    assert poor.borrow() == "ok"
    poor.tell("borrow")
    assert poor.hear() == "ok"
    wait_until(lambda: (rich.stats()["total"], poor.stats()["total"]) == (2, 2))
    assert rich.rest() > 0


def test_what_is_shared_evenly_stays_where_it_is(start: Start) -> None:
    workers = [start(4) for _ in range(2)]
    for worker in workers:
        worker.load(threads=4)
    wait_until(lambda: [worker.stats()["in_use"] for worker in workers] == [2, 2])
    connects = [worker.stats()["connects"] for worker in workers]
    before = [worker.turns() for worker in workers]
    wait_until(lambda: all(w.turns() > turns + 300 for w, turns in zip(workers, before, strict=True)))
    assert [worker.stats()["connects"] for worker in workers] == connects
    for worker in workers:
        worker.rest()


def test_a_killed_worker_gives_its_shares_back(start: Start, database: Database) -> None:
    victim, heir = start(3, minconn=3), start(3)
    victim.borrow(count=3)
    heir.tell("borrow", count=3)
    with Sampler(database) as sampler:
        victim.kill()
        assert heir.hear() == "ok"
    assert sampler.most <= 3
    assert heir.stats()["longest_wait"] < 5


def test_what_a_killed_worker_still_ran_is_ended(start: Start, database: Database) -> None:
    victim, heir = start(2, minconn=2), start(2)
    victim.borrow()
    victim.begin(sql="SELECT pg_sleep(60)::text")
    running = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%%' AND state = 'active'"
    wait_until(lambda: database.execute(running))
    [(pid,)] = database.execute(running)
    assert heir.borrow() == "ok"
    heir.tell("borrow")
    victim.kill()
    assert heir.hear() == "ok"
    wait_until(lambda: pid not in sessions(database))
    wait_until(lambda: len(sessions(database)) == 2)


def test_a_request_without_a_share_is_told_who_has_them(start: Start, database: Database, path: str) -> None:
    start(2, minconn=2).borrow(count=2)
    options = PoolOptions(name="late", budget=Budget(path, 2))
    pool = ConnectionPool(1, 4, options=options, **database.connect_kwargs)
    try:
        with pytest.raises(
            PoolTimeout, match="the budget of 2 connections is used up by other workers: total"
        ):
            pool.getconn(timeout=0.3)
        assert pool.stats().exhausted == 1
    finally:
        pool.closeall()


def test_two_pools_of_one_process_share_it_too(database: Database, path: str) -> None:
    options = [PoolOptions(name=name, budget=Budget(path, 3)) for name in ("one", "other")]
    one, other = (ConnectionPool(0, 3, options=each, **database.connect_kwargs) for each in options)
    warm_up(one, 3)
    held = borrow(other, 1)
    wait_until(lambda: len(sessions(database)) == 3)
    assert one.stats().total == 2
    other.putconn(held.pop())
    one.closeall()
    warm_up(other, 3)
    other.closeall()


def test_a_child_holds_none_of_its_parents_shares(database: Database, path: str) -> None:
    pool = ConnectionPool(
        2, 4, options=PoolOptions(timeout=5, budget=Budget(path, 3)), **database.connect_kwargs
    )
    warm_up(pool, 2)

    def use() -> int:
        held = borrow(pool, 1)
        with pytest.raises(PoolTimeout, match="used up by other workers"):
            pool.getconn(timeout=0.2)
        pool.putconn(held.pop())
        pool.closeall()
        return pool.stats().connects

    held = borrow(pool, 2)
    assert [Child(use).result() for _ in range(3)] == [1] * 3
    assert [ask(conn) for conn in held] == [1, 1]
    wait_until(lambda: len(sessions(database)) == 2)
    pool.closeall()


def test_a_share_is_taken_until_the_server_has_ended_the_session(
    private_server: PrivateServer, path: str
) -> None:
    options = PoolOptions(budget=Budget(path, 1))
    pool = ConnectionPool(0, 1, options=options, **private_server.connect_kwargs)
    conn = pool.getconn()
    private_server.freeze()
    pool.putconn(conn, close=True)
    wait_until(lambda: pool.stats().total == 0)
    assert pool.stats().budget_used == 1
    private_server.thaw()
    wait_until(lambda: pool.stats().budget_used == 0)
    pool.closeall()


def test_one_want_costs_one_connection_however_long_the_server_takes_to_end_it(
    private_server: PrivateServer, path: str
) -> None:
    options = PoolOptions(timeout=20, budget=Budget(path, 6))
    rich = ConnectionPool(6, 6, options=options, **private_server.connect_kwargs)
    poor = ConnectionPool(0, 6, options=options, **private_server.connect_kwargs)
    warm_up(rich, 6)
    private_server.freeze()
    wish = in_background(poor.getconn)
    wait_until(lambda: rich.stats().ceded and poor.stats().opening)  # begging for a share is no opening
    assert rich.stats().ceded == 1
    private_server.thaw()
    poor.putconn(wish.result(20))
    assert rich.stats().ceded == 1
    rich.closeall()
    poor.closeall()


@pytest.fixture
def make_writing_fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on the file cannot be written to, as on a disk that is broken; `monkeypatch.undo` mends it."""

    def fail(*_args: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    return lambda: monkeypatch.setattr(os, "pwrite", fail)


@pytest.mark.parametrize("maxconn", [1, 4])
def test_a_file_that_cannot_be_written_to_stops_the_pool_only_meanwhile(
    make_writing_fail: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    database: Database,
    path: str,
    maxconn: int,
) -> None:
    options = PoolOptions(timeout=10, budget=Budget(path, 1))
    pool = ConnectionPool(0, maxconn, options=options, **database.connect_kwargs)
    make_writing_fail()
    for _ in range(3):
        with pytest.raises(PoolTimeout):
            pool.getconn(timeout=0.1)
    monkeypatch.undo()
    pool.putconn(pool.getconn())
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"the budget's file {path} cannot be used now: [Errno 5] Input/output error"
    ]
    pool.closeall()


def test_a_session_that_cannot_end_anothers_remains_is_closed_at_once(
    start: Start, monkeypatch: pytest.MonkeyPatch, database: Database, path: str
) -> None:
    start(1).kill()

    def fail(*_args: object) -> bool:
        raise psycopg2.OperationalError("no answer")

    monkeypatch.setattr(interrupting, "end_remains", fail)
    options = PoolOptions(timeout=10, outage_grace=10, budget=Budget(path, 1))
    pool = ConnectionPool(0, 1, options=options, **database.connect_kwargs)
    gc.disable()
    try:
        wish = in_background(pool.getconn)
        wait_until(lambda: pool.stats().connect_failures > 2)
        monkeypatch.undo()
        pool.putconn(wish.result(10))
        wait_until(lambda: len(sessions(database)) == 1)
    finally:
        gc.enable()
        pool.closeall()


def test_a_share_is_given_back_though_the_file_cannot_be_written_to(
    make_writing_fail: Callable[[], None], monkeypatch: pytest.MonkeyPatch, database: Database, path: str
) -> None:
    pool = ConnectionPool(
        0, 1, options=PoolOptions(timeout=10, budget=Budget(path, 1)), **database.connect_kwargs
    )
    conn = pool.getconn()
    make_writing_fail()
    pool.putconn(conn, close=True)
    wait_until(lambda: pool.stats().total == 0)
    monkeypatch.undo()
    pool.putconn(pool.getconn())
    pool.closeall()


def test_the_budget_holds_when_its_file_is_removed(start: Start, path: str) -> None:
    holder, late = start(2, minconn=2), start(2, minconn=0)
    assert holder.borrow(count=2) == "ok"
    Path(path).unlink()
    wait_until(lambda: Path(path).exists())
    wait_until(lambda: holder.stats()["budget_used"] == late.stats()["budget_used"] == 2)
    assert "PoolTimeout" in late.borrow(timeout=0.3)
    newcomer = start(2, minconn=0)
    assert "PoolTimeout" in newcomer.borrow(timeout=0.3)
    assert holder.give_back() == "ok"
    assert [worker.borrow() for worker in (late, newcomer)] == ["ok", "ok"]


def test_who_comes_late_to_the_new_file_takes_nothing_from_who_was_first(start: Start, path: str) -> None:
    slow = start(1)
    assert slow.borrow() == "ok"
    slow.process.send_signal(signal.SIGSTOP)
    Path(path).unlink()
    first = start(1)
    assert first.borrow() == "ok"
    slow.process.send_signal(signal.SIGCONT)
    assert slow.give_back() == "ok"
    assert slow.close() == "ok"
    assert first.stats()["budget_used"] == 1
    assert "PoolTimeout" in start(1).borrow(timeout=0.3)


@pytest.mark.parametrize("size", [0, -1, 1001, True, 1.5])
def test_sizes_that_cannot_be_are_refused(path: str, size: Any) -> None:
    with pytest.raises(ValueError, match=r"Budget\.size must be a whole number from 1 to 1000"):
        Budget(path, size)
