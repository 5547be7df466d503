"""Small steps that many tests of the pool take."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from swagger_server.pool import ConnectionPool
from tests.support.process import wait_until
from tests.support.servers import Database

SESSIONS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND backend_type = 'client backend'
"""


def ask(conn: Any, sql: str = "SELECT 1", params: Any = None) -> Any:
    """The first column of the first row."""
    with conn.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]


def run(conn: Any, sql: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(sql)


def request(pool: ConnectionPool, sql: str = "SELECT 1") -> Any:
    with pool.connection() as conn:
        return ask(conn, sql)


def pid_of(conn: Any) -> int:
    return int(conn.info.backend_pid)


def sessions(database: Database) -> set[int]:
    """Pids of all sessions of the database but the one that asks."""
    return {pid for (pid,) in database.execute(SESSIONS)}


def kill_sessions(database: Database) -> int:
    """End all sessions that the database has now, and wait until they have ended. Gives their number."""
    victims = sessions(database)
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS victims(pid)", (list(victims),)
    )
    wait_until(lambda: not sessions(database) & victims)
    return len(victims)


def borrow(pool: ConnectionPool, count: int) -> list[Any]:
    """So many connections at once, opened side by side."""
    with ThreadPoolExecutor(count) as threads:
        return [each.result() for each in [threads.submit(pool.getconn) for _ in range(count)]]


def warm_up(pool: ConnectionPool, count: int) -> None:
    """Have `count` connections open and idle."""
    for conn in borrow(pool, count):
        pool.putconn(conn)


def in_threads(count: int, step: Callable[[], Any]) -> list[Any]:
    """Run `step` in so many threads, begun together; gives what they return or raises what they raise."""
    together = threading.Barrier(count)

    def begin() -> Any:
        together.wait(10)
        return step()

    with ThreadPoolExecutor(count) as threads:
        return [each.result() for each in [threads.submit(begin) for _ in range(count)]]


def in_background(step: Callable[..., Any], *args: Any, **kwargs: Any) -> "Future[Any]":
    """Start `step` on a thread of its own. The thread is not waited for at the end of the process."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(step(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def wait_for_waiters(pool: ConnectionPool, count: int) -> None:
    """Until so many callers wait in the queue."""
    wait_until(lambda: pool.stats().waiting == count, explain=lambda: repr(pool))


def wait_until_settled(pool: ConnectionPool) -> None:
    """Until nothing is being opened or cleaned."""
    wait_until(lambda: pool.stats().opening == pool.stats().cleaning == 0, explain=lambda: repr(pool))
