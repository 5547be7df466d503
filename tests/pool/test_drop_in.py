"""Code written for psycopg2's ThreadedConnectionPool runs unchanged."""

import inspect
import io
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions, extras
from psycopg2.pool import PoolError, ThreadedConnectionPool

from swagger_server.pool import ConnectionPool, PoolClosed, PoolOptions, PoolTimeout
from tests.pool.conftest import MakePool
from tests.pool.tools import ask, request, run, sessions
from tests.support.process import wait_until
from tests.support.servers import Database


def test_minconn_connections_are_open_right_after_construction(
    make_pool: MakePool, database: Database
) -> None:
    make_pool(3, 5)
    assert len(sessions(database)) == 3


def test_a_quiet_pool_uses_the_same_session_for_thousands_of_calls(
    make_pool: MakePool, database: Database
) -> None:
    pool = make_pool(1, 20)
    before = sessions(database)
    for _ in range(2000):
        request(pool)
    assert sessions(database) == before
    assert len(before) == 1
    assert pool.stats().connects == 1


def test_the_connection_used_last_is_lent_first(make_pool: MakePool) -> None:
    pool = make_pool(2, 2)
    first, second = pool.getconn(), pool.getconn()
    pool.putconn(first)
    pool.putconn(second)
    assert pool.getconn() is second
    assert pool.getconn() is first


def test_the_same_key_gives_the_same_connection(make_pool: MakePool) -> None:
    pool = make_pool(1, 4)
    conn, other, unkeyed = pool.getconn("request 1"), pool.getconn("request 2"), pool.getconn()
    assert pool.getconn("request 1") is conn
    assert pool.getconn("request 2") is other
    assert len({conn, other, unkeyed}) == pool.stats().in_use == 3


def test_a_keyed_connection_comes_back_by_its_key_alone(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn(key=7)
    pool.putconn(key=7)
    assert pool.stats().in_use == 0
    assert pool.getconn() is conn


def test_a_key_is_free_again_after_its_connection_came_back(make_pool: MakePool) -> None:
    pool = make_pool(2, 2)
    conn = pool.getconn("k")
    pool.putconn(conn)
    other = pool.getconn()
    assert other is conn
    assert pool.getconn("k") is not conn


def test_a_key_keeps_its_connection_although_nobody_else_does(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    run(pool.getconn("k"), "CREATE TEMP TABLE mine (n int)")
    assert ask(pool.getconn("k"), "SELECT count(*) FROM mine") == 0
    pool.putconn(key="k")
    assert pool.stats().leaked == 0


def test_attributes_are_those_of_the_original(make_pool: MakePool) -> None:
    pool = make_pool(1, 4)
    assert (pool.minconn, pool.maxconn, pool.closed) == (1, 4, False)
    pool.closeall()
    assert pool.closed is True


def test_the_original_call_shapes_are_accepted() -> None:
    for method in ("getconn", "putconn", "closeall"):
        theirs = list(inspect.signature(getattr(ThreadedConnectionPool, method)).parameters)
        ours = list(inspect.signature(getattr(ConnectionPool, method)).parameters)
        assert ours[: len(theirs)] == theirs


def test_a_connection_string_and_the_old_keyword_are_taken(database: Database) -> None:
    kwargs = dict(database.connect_kwargs)
    name = kwargs.pop("dbname")
    for pool in (ConnectionPool(1, 2, database.url), ConnectionPool(1, 2, database=name, **kwargs)):
        assert request(pool, "SELECT current_database()") == name
        pool.closeall()


def test_an_unknown_connection_is_refused(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(1, 2)
    alien = database.connect()
    conn = pool.getconn()
    pool.putconn(conn)
    for unknown in (alien, conn, None):
        with pytest.raises(PoolError, match="trying to put unkeyed connection"):
            pool.putconn(unknown)
    alien.close()


def test_put_with_close_closes(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(0, 2)
    conn = pool.getconn()
    pool.putconn(conn, close=True)
    assert conn.closed
    assert pool.stats().total == 0


def test_an_open_transaction_is_rolled_back_on_the_way_back(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn()
    run(conn, "CREATE TABLE never (n int)")
    pool.putconn(conn)
    assert pool.getconn() is conn
    assert conn.get_transaction_status() == extensions.TRANSACTION_STATUS_IDLE
    assert ask(conn, "SELECT to_regclass('never') IS NULL")


def test_a_full_pool_raises_a_pool_error_when_the_caller_does_not_wait(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    pool.getconn("held")
    held = pool.getconn("held")
    with pytest.raises(
        PoolTimeout, match=r"total 1 of 1, idle 0, in use 1, cleaning 0, opening 0, waiting 0"
    ):
        pool.getconn(timeout=0)
    assert issubclass(PoolTimeout, PoolError)
    assert issubclass(PoolTimeout, psycopg2.Error)
    pool.putconn(held)


def test_a_closed_pool_refuses_everything(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(2, 2)
    lent = pool.getconn()
    pool.closeall()
    assert lent.closed
    for step in (pool.getconn, pool.closeall, lambda: pool.putconn(lent), lambda: pool.getconn("key")):
        with pytest.raises(PoolClosed, match="connection pool is closed"):
            step()
    wait_until(lambda: not sessions(database))


def test_autocommit_does_not_reach_the_next_borrower(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn()
    conn.autocommit = True
    pool.putconn(conn)
    assert pool.getconn() is conn
    assert conn.autocommit is False
    assert pool.stats().cleaned == 0


@pytest.mark.parametrize(
    ("factory", "row"),
    [
        (None, (1,)),
        (extras.RealDictConnection, {"one": 1}),
        (extras.DictConnection, [1]),
        (extras.NamedTupleConnection, (1,)),
    ],
)
def test_connection_factories_keep_their_rows(database: Database, factory: Any, row: Any) -> None:
    pool = ConnectionPool(1, 1, connection_factory=factory, **database.connect_kwargs)
    with pool.connection() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchone() == row
        assert factory is None or isinstance(conn, factory)
    pool.closeall()


def test_cursor_factories_keep_their_rows(make_pool: MakePool, database: Database) -> None:
    with make_pool().connection() as conn, conn.cursor(cursor_factory=extras.RealDictCursor) as cursor:
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchall() == [{"one": 1}]
        assert isinstance(cursor, extras.RealDictCursor)
    pool = ConnectionPool(1, 1, cursor_factory=extras.RealDictCursor, **database.connect_kwargs)
    with pool.connection() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchone() == {"one": 1}
    pool.closeall()


def test_a_function_as_connection_factory_works_and_is_always_cleaned(database: Database) -> None:
    def factory(dsn: str, *_: Any) -> extensions.connection:
        return extensions.connection(dsn)

    pool = ConnectionPool(1, 1, connection_factory=factory, **database.connect_kwargs)
    with pool.connection() as conn:
        run(conn, "SET search_path = elsewhere")
    assert request(pool, "SELECT current_setting('search_path')") != "elsewhere"
    pool.closeall()


def test_copy_callproc_and_server_side_cursors_work(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    with pool.connection() as conn, conn.cursor() as cursor:
        cursor.execute("CREATE TABLE numbers (n int)")
        cursor.copy_expert("COPY numbers FROM STDIN", io.StringIO("1\n2\n3\n"))
        cursor.copy_from(io.StringIO("4\n"), "numbers")
        cursor.executemany("INSERT INTO numbers VALUES (%s)", [(5,), (6,)])
        extras.execute_values(cursor, "INSERT INTO numbers VALUES %s", [(7,), (8,)])
        cursor.callproc("abs", (-9,))
        assert cursor.fetchone() == (9,)
        out = io.StringIO()
        cursor.copy_to(out, "numbers")
        assert out.getvalue().split() == ["1", "2", "3", "4", "5", "6", "7", "8"]
    with pool.connection() as conn, conn.cursor("few", scrollable=True) as cursor:
        cursor.itersize = 3
        cursor.execute("SELECT n FROM numbers ORDER BY n")
        assert cursor.fetchone() == (1,)
        assert cursor.fetchmany(2) == [(2,), (3,)]
        cursor.scroll(1)
        assert [n for (n,) in cursor] == [5, 6, 7, 8]


def test_the_block_commits_or_rolls_back_and_always_gives_back(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    with pool.connection() as conn:
        run(conn, "CREATE TABLE kept (n int)")
    with pytest.raises(psycopg2.DataError), pool.connection() as conn:
        run(conn, "INSERT INTO kept VALUES (1); SELECT 1 / 0")
    assert pool.stats().in_use == 0
    assert request(pool, "SELECT count(*) FROM kept") == 0


def test_the_block_survives_a_pool_that_is_closed_meanwhile(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    with pytest.raises(psycopg2.InterfaceError), pool.connection():
        pool.closeall()


@pytest.mark.parametrize(
    ("minconn", "maxconn", "message"),
    [
        (-1, 2, "minconn must be 0 or more, not -1"),
        (3, 2, "maxconn must be at least 3, not 2"),
        (0, 0, "at least 1"),
    ],
)
def test_impossible_sizes_are_refused(minconn: int, maxconn: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConnectionPool(minconn, maxconn)


def test_unknown_connection_parameters_are_refused_at_once() -> None:
    with pytest.raises(psycopg2.ProgrammingError, match="hots"):
        ConnectionPool(1, 2, hots="localhost")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", -1),
        ("max_idle", "600"),
        ("leak_after", float("nan")),
        ("max_waiting", True),
        ("reset", "maybe"),
        ("name", ""),
    ],
)
def test_wrong_options_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"PoolOptions.{option} must"):
        PoolOptions(**{option: value})


def test_options_are_frozen() -> None:
    with pytest.raises(AttributeError):
        PoolOptions().timeout = 1  # type: ignore[misc]
