"""Random borrowers, kills and leaks: what must hold after every step, and at the end."""

from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from swagger_server.pool import ConnectionPool, PoolClosed, PoolOptions, PoolTimeout
from tests.pool.tools import (
    borrow,
    in_background,
    kill_sessions,
    request,
    run,
    sessions,
    wait_until_settled,
)
from tests.support.process import wait_until
from tests.support.servers import Database

MAXCONN = 3
SOME = st.integers(0, 100)


class Borrowers(RuleBasedStateMachine):
    """Drives one pool; `held` and `waiting` are what the borrowers know of it."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.pool = ConnectionPool(
            1, MAXCONN, options=PoolOptions(timeout=20), **self.database.connect_kwargs
        )
        self.held: list[Any] = []
        self.waiting: list[Future[Any]] = []

    @precondition(lambda self: len(self.held) < MAXCONN and not self.waiting)
    @rule()
    def get(self) -> None:
        self.held.append(self.pool.getconn())

    @precondition(lambda self: len(self.held) == MAXCONN)
    @rule()
    def get_without_waiting(self) -> None:
        with pytest.raises(PoolTimeout):
            self.pool.getconn(timeout=0)

    @precondition(lambda self: len(self.held) == MAXCONN and len(self.waiting) < 3)
    @rule()
    def wait(self) -> None:
        self.waiting.append(in_background(self.pool.getconn))
        wait_until(lambda: self.pool.stats().waiting == len(self.waiting))

    @precondition(lambda self: self.held)
    @rule(which=SOME, close=st.booleans())
    def put(self, which: int, close: bool) -> None:
        self.pool.putconn(self._take(which), close=close)
        self._serve()

    @precondition(lambda self: self.held)
    @rule(which=SOME)
    def drop(self, which: int) -> None:
        self._take(which)
        self._serve()

    @precondition(lambda self: self.held)
    @rule(
        which=SOME,
        statement=st.sampled_from(["SELECT 1", "SET work_mem = '1MB'", "CREATE TEMP TABLE t (n int)"]),
    )
    def use(self, which: int, statement: str) -> None:
        with suppress(psycopg2.Error):
            run(self.held[which % len(self.held)], statement)

    @precondition(lambda self: self.held)
    @rule(which=SOME)
    def put_twice(self, which: int) -> None:
        if self.waiting:
            return
        conn = self._take(which)
        self.pool.putconn(conn)
        with pytest.raises(psycopg2.pool.PoolError):
            self.pool.putconn(conn)

    @rule()
    def kill_all(self) -> None:
        kill_sessions(self.database)

    @rule()
    def drain(self) -> None:
        self.pool.drain()

    @precondition(lambda self: len(self.held) < MAXCONN)
    @rule()
    def ask_for_something(self) -> None:
        assert request(self.pool, "SELECT current_setting('work_mem')") == "4MB"

    @invariant()
    def there_are_never_more_than_maxconn(self) -> None:
        assert self.pool.stats().total <= MAXCONN
        # A closed session ends in the server when that has read of it, a moment after its successor began.
        wait_until(lambda: len(sessions(self.database)) <= MAXCONN)

    @invariant()
    def nobody_waits_while_a_connection_is_idle(self) -> None:
        slots = self.pool._slots
        with slots.lock:
            assert not (slots.waiters and slots.idle)

    @invariant()
    def no_connection_is_held_twice(self) -> None:
        slots = self.pool._slots
        with slots.lock:
            places = [*slots.idle, *slots.lent.values(), *slots.cleaning]
        assert len(set(map(id, places))) == len(places)
        assert len(set(map(id, self.held))) == len(self.held)

    @invariant()
    def every_place_is_accounted_for(self) -> None:
        wait_until(lambda: self.pool.stats().in_use == len(self.held), explain=lambda: repr(self.pool))
        assert self.pool.stats().waiting == len(self.waiting)

    def teardown(self) -> None:
        for conn in self.held:
            self.pool.putconn(conn)
        for each in self.waiting:
            self.pool.putconn(each.result(20))
        self.held.clear()
        wait_until_settled(self.pool)
        assert request(self.pool) == 1
        assert len(borrow(self.pool, MAXCONN)) == MAXCONN
        with suppress(PoolClosed):
            self.pool.closeall()
        wait_until(lambda: not sessions(self.database))

    def _take(self, which: int) -> Any:
        return self.held.pop(which % len(self.held))

    def _serve(self) -> None:
        """A place has become free: the longest waiter gets it, and nobody else."""
        if self.waiting:
            self.held.append(self.waiting.pop(0).result(20))


def test_invariants_hold_whatever_borrowers_do(database: Database) -> None:
    Borrowers.database = database
    effort = settings(
        max_examples=15,
        stateful_step_count=20,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Borrowers, settings=effort)  # type: ignore[no-untyped-call]
