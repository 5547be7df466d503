"""Leaks, numbers, and the lock: what the pool knows about itself."""

import gc
import threading
import time
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions

from swagger_server.pool import ConnectionPool, PoolOptions, PoolTimeout, opening
from tests.pool.conftest import MakePool
from tests.pool.tools import (
    ask,
    borrow,
    in_background,
    in_threads,
    kill_sessions,
    request,
    run,
    wait_for_waiters,
    wait_until_settled,
    warm_up,
)
from tests.support.process import wait_until
from tests.support.proxy import Proxy
from tests.support.servers import Database


def ask_for_ever(conn: Any) -> None:
    while True:
        ask(conn)


def die_in_a_transaction(pool: ConnectionPool, killer: Any) -> None:
    conn = pool.getconn()
    pid = ask(conn, "SELECT pg_backend_pid()")
    ask(killer, "SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(psycopg2.OperationalError):
        ask_for_ever(conn)
    pool.putconn(conn)


def test_a_hundred_sessions_killed_in_a_transaction_cost_no_place(
    make_pool: MakePool, database: Database
) -> None:
    pool = make_pool(1, 4, timeout=30)
    killer = database.connect()
    for _ in range(100):
        die_in_a_transaction(pool, killer)
    killer.close()
    assert len(set(map(id, borrow(pool, 4)))) == 4
    assert pool.stats().lost == 100


def borrow_and_forget(pool: ConnectionPool) -> None:
    ask(pool.getconn())


def test_a_hundred_dropped_connections_cost_no_place_and_are_each_reported_once(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(1, 4, timeout=30)
    for _ in range(100):
        borrow_and_forget(pool)
    wait_until(lambda: pool.stats().leaked == 100)
    held = borrow(pool, 4)
    assert len(held) == 4
    reports = [record.getMessage() for record in caplog.records if "without putconn" in record.getMessage()]
    assert len(reports) == 100
    assert all("borrow_and_forget" in report and __file__ in report for report in reports)


def test_a_connection_in_a_cycle_is_reclaimed_when_the_cycle_is(make_pool: MakePool) -> None:
    pool = make_pool(1, 1, timeout=30)
    cycle: list[Any] = [pool.getconn()]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert request(pool) == 1
    assert pool.stats().leaked == 1


def test_a_connection_held_too_long_is_reported_once(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(1, 2, leak_after=0.05)
    held, keyed = pool.getconn(), pool.getconn("key")
    wait_until(lambda: pool.stats().held_too_long == 2)
    later = time.monotonic() + 0.3
    wait_until(lambda: time.monotonic() > later)
    reports = [record.getMessage() for record in caplog.records if "has been held" in record.getMessage()]
    assert len(reports) == pool.stats().held_too_long == 2
    assert all("test_a_connection_held_too_long_is_reported_once" in report for report in reports)
    pool.putconn(held)
    pool.putconn(keyed)
    assert pool.stats().leaked == 0


def test_a_deep_stack_is_noted_from_the_borrower_outward(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(1, 1)

    def one() -> None:
        two()

    def two() -> None:
        borrow_and_forget(pool)

    one()
    wait_until(lambda: pool.stats().leaked == 1)
    lines = [line.split(" in ")[-1] for line in caplog.text.splitlines() if line.lstrip().startswith("File")]
    assert lines[-3:] == ["one", "two", "borrow_and_forget"]


def test_waits_are_counted_by_their_length(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn()
    for _ in range(3):
        with pytest.raises(PoolTimeout):
            pool.getconn(timeout=0.015)
    stats = pool.stats()
    assert stats.gets == 1
    assert sum(count for _, count in stats.wait_histogram) == 3
    assert sum(count for bound, count in stats.wait_histogram if bound <= 0.01) == 0
    assert 0.015 <= stats.longest_wait <= stats.waited
    assert stats.exhausted == 3
    pool.putconn(conn)


def test_each_number_tells_its_state(make_pool: MakePool) -> None:
    pool = make_pool(2, 2, name="orders", timeout=30)
    held = [pool.getconn(), pool.getconn()]
    waiting = in_background(lambda: request(pool))
    wait_for_waiters(pool, 1)
    stats = pool.stats()
    assert (stats.name, stats.minconn, stats.maxconn, stats.total) == ("orders", 2, 2, 2)
    assert (stats.idle, stats.in_use, stats.cleaning, stats.opening, stats.waiting) == (0, 2, 0, 0, 1)
    assert (stats.down, stats.down_for, stats.connects, stats.connect_failures) == (False, 0.0, 2, 0)
    for conn in held:
        pool.putconn(conn)
    assert waiting.result(10) == 1


def test_while_a_connect_hangs_others_take_and_give(
    make_pool: MakePool, through_proxy: Any, proxy: Proxy
) -> None:
    pool = make_pool(3, 8, connect=through_proxy, timeout=30)
    held = [pool.getconn() for _ in range(3)]
    proxy.swallow()
    before = proxy.accepted
    waiting = in_background(pool.getconn)
    wait_until(lambda: proxy.accepted == before + 1)
    pool.putconn(held.pop())
    got = waiting.result(10)
    for _ in range(50):
        pool.putconn(held.pop())
        held.append(pool.getconn(timeout=0))
    assert pool.stats().opening == 1
    for conn in (*held, got):
        pool.putconn(conn)


class OwnedLock:
    """A lock that knows who holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.owner: int | None = None

    def __enter__(self) -> None:
        self._lock.acquire()
        self.owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self.owner = None
        self._lock.release()


def test_nothing_is_sent_or_awaited_under_the_lock(
    database: Database, proxy: Proxy, through_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = OwnedLock()
    seen: set[str] = set()

    def note(step: str) -> None:
        seen.add(step)
        assert lock.owner != threading.get_ident(), f"{step} under the lock"

    class Watched(extensions.connection):
        def close(self) -> None:
            note("close")
            super().close()

        def rollback(self) -> None:
            note("rollback")
            super().rollback()

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            note("statement")
            return super().cursor(*args, **kwargs)

        def poll(self) -> int:
            note("poll")
            return super().poll()

    def connect(*args: Any, **kwargs: Any) -> Any:
        note("connect")
        return real_connect(*args, **kwargs)

    real_connect = psycopg2.connect
    monkeypatch.setattr(opening.psycopg2, "connect", connect)
    pool = ConnectionPool(1, 4, connection_factory=Watched, options=PoolOptions(timeout=30), **through_proxy)
    pool._slots.lock = lock  # type: ignore[assignment]
    warm_up(pool, 4)
    for conn in borrow(pool, 4):
        run(conn, "SET search_path = elsewhere")
        pool.putconn(conn)
    wait_until_settled(pool)
    kill_sessions(database)
    in_threads(8, lambda: [request(pool) for _ in range(10)])
    proxy.cut()
    pool.drain()
    assert request(pool) == 1
    pool.closeall()
    assert seen == {"connect", "close", "rollback", "statement", "poll"}
