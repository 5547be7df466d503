"""A pool that was made, and used, before a fork."""

import json
import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from swagger_server.pool import Budget, ConnectionPool
from swagger_server.pool.ledger import open_ledger
from tests.pool.conftest import MakePool
from tests.pool.tools import ask, pid_of, request, sessions, warm_up
from tests.support.servers import Database

# Newer Pythons warn of every fork with threads; that it works nevertheless is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class Child:
    """A forked process that runs `step` and reports what it returned or raised."""

    def __init__(self, step: Callable[[], Any]) -> None:
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _report(step, writing)
        os.close(writing)

    def result(self) -> Any:
        if not select.select([self._reading], [], [], 30)[0]:
            os.kill(self._pid, signal.SIGKILL)  # it hangs; nothing comes then, which is no result
        with os.fdopen(self._reading) as reading:
            text = reading.read()
        os.waitpid(self._pid, 0)
        return json.loads(text)


def _report(step: Callable[[], Any], writing: int) -> None:
    answer: Any = "the child ended without a result"
    try:
        answer = step()
    except BaseException as error:
        answer = repr(error)
    finally:
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)


def count_wrong_answers(pool: ConnectionPool, base: int) -> int:
    return sum(request(pool, f"SELECT {base + turn}") != base + turn for turn in range(200))


def test_two_children_and_the_parent_get_their_own_rows(make_pool: MakePool) -> None:
    pool = make_pool(2, 4)
    warm_up(pool, 4)
    children = [Child(lambda base=base: count_wrong_answers(pool, base)) for base in (1000, 2000)]
    assert count_wrong_answers(pool, 3000) == 0
    assert [child.result() for child in children] == [0, 0]


def test_a_fork_while_threads_hold_the_lock_leaves_no_child_stuck(make_pool: MakePool) -> None:
    pool = make_pool(2, 4)
    enough = threading.Event()

    def keep_busy() -> None:
        while not enough.is_set():
            pool.putconn(pool.getconn())

    threads = [threading.Thread(target=keep_busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    children = [Child(lambda: count_wrong_answers(pool, 1000)) for _ in range(3)]
    with pool._slots.lock:
        children.append(Child(lambda: count_wrong_answers(pool, 2000)))
    enough.set()
    for thread in threads:
        thread.join()
    assert [child.result() for child in children] == [0] * 4


def test_a_fork_while_a_thread_is_in_the_budgets_file_leaves_no_child_stuck(
    make_pool: MakePool, tmp_path: Path
) -> None:
    pool = make_pool(1, 4, budget=Budget(str(tmp_path / "budget"), 4))
    warm_up(pool, 1)
    is_in, enough = threading.Event(), threading.Event()
    ledger = open_ledger(str(tmp_path / "budget"))

    def stay_in() -> None:
        with ledger._lock:
            is_in.set()
            enough.wait()

    thread = threading.Thread(target=stay_in)
    thread.start()
    is_in.wait()
    child = Child(lambda: count_wrong_answers(pool, 1000))
    enough.set()
    thread.join()
    assert child.result() == 0
    assert count_wrong_answers(pool, 2000) == 0


def test_the_sessions_of_the_parent_outlive_the_child(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(2, 4)
    lent = pool.getconn()
    before = sessions(database)

    def use_up_everything() -> int:
        with suppress(Exception):
            ask(lent)
        pool.putconn(lent)
        request(pool)
        pool.closeall()
        return 0

    assert Child(use_up_everything).result() == 0
    assert before <= sessions(database)
    assert ask(lent, "SELECT 7") == 7
    pool.putconn(lent)
    assert pid_of(pool.getconn()) in before


def test_a_child_opens_nothing_before_it_asks(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(3, 4)
    before = sessions(database)
    assert Child(lambda: pool.stats().total).result() == 0
    assert sessions(database) == before


def test_a_child_begins_with_minconn_connections_and_fresh_numbers(
    make_pool: MakePool, database: Database
) -> None:
    pool = make_pool(2, 4)
    warm_up(pool, 4)

    def use() -> list[int]:
        request(pool)
        return [pool.stats().gets, pool.stats().in_use]

    assert Child(use).result() == [1, 0]


def test_a_pool_that_was_closed_stays_closed_in_the_child(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    pool.closeall()
    assert "PoolClosed" in Child(lambda: request(pool)).result()
