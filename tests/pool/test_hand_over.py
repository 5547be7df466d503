"""What one borrower leaves in the session is gone for the next, and costs nothing when there was nothing."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions, extras, sql
from psycopg2.errors import ReadOnlySqlTransaction

from swagger_server.pool import ConnectionPool, PoolOptions, PoolUnavailable, statements
from swagger_server.pool.statements import leaves_session_alone
from tests.pool.conftest import MakePool
from tests.pool.tools import ask, pid_of, request, run, sessions, wait_until_settled, warm_up
from tests.support.process import wait_until
from tests.support.servers import Database, PrivateServer

LEFTOVERS = {
    "search_path": ("SET search_path = elsewhere", "SELECT current_setting('search_path') = 'elsewhere'"),
    "timeout": ("SET statement_timeout = 12345", "SELECT current_setting('statement_timeout') = '12345ms'"),
    "set_config": (
        "SELECT set_config('work_mem', '1234kB', false)",
        "SELECT current_setting('work_mem') = '1234kB'",
    ),
    "lock": (
        "SELECT pg_advisory_lock(42)::text",
        "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    ),
    "temp table": ("CREATE TEMP TABLE mine (n int)", "SELECT to_regclass('pg_temp.mine') IS NOT NULL"),
    "select into": ("SELECT 1 AS n INTO TEMP mine", "SELECT to_regclass('pg_temp.mine') IS NOT NULL"),
    "listen": ("LISTEN news", "SELECT count(*) > 0 FROM pg_listening_channels()"),
    "prepared": ("PREPARE mine AS SELECT 1", "SELECT count(*) > 0 FROM pg_prepared_statements"),
    "cursor": (
        "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
        "SELECT count(*) > 0 FROM pg_cursors WHERE name = 'mine'",
    ),
    "role": ("SET SESSION AUTHORIZATION pg_monitor", "SELECT current_user = 'pg_monitor'"),
    "in a function": (
        "DO $$ BEGIN PERFORM set_config('work_mem', '1235kB', false); END $$",
        "SELECT current_setting('work_mem') = '1235kB'",
    ),
}


@pytest.mark.parametrize("name", LEFTOVERS)
@pytest.mark.parametrize("reset", ["smart", "always"])
def test_leftovers_are_gone_for_the_next_borrower(make_pool: MakePool, name: str, reset: str) -> None:
    leave, look = LEFTOVERS[name]
    pool = make_pool(1, 1, reset=reset)
    with pool.connection() as conn:
        run(conn, leave)
        conn.commit()
        assert ask(conn, look)
    with pool.connection() as again:
        assert again is conn
        assert not ask(again, look)


def test_with_never_the_next_borrower_finds_them(make_pool: MakePool) -> None:
    pool = make_pool(1, 1, reset="never")
    with pool.connection() as conn:
        run(conn, "SET search_path = elsewhere")
    assert request(pool, "SELECT current_setting('search_path')") == "elsewhere"


def test_a_session_left_alone_costs_no_cleaning(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    for _ in range(20):
        with pool.connection() as conn:
            run(
                conn,
                "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = 500; SELECT count(*) FROM pg_class",
            )
    assert (pool.stats().cleaned, pool.stats().gets, pool.stats().connects) == (0, 20, 1)


def test_a_changed_session_costs_one_cleaning(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    with pool.connection() as conn:
        run(conn, "SET search_path = elsewhere")
    request(pool)
    request(pool)
    assert pool.stats().cleaned == 1


@pytest.mark.parametrize(
    "setting",
    [
        {"isolation_level": "SERIALIZABLE"},
        {"readonly": True},
        {"deferrable": True},
        {"readonly": True, "autocommit": True},
    ],
)
def test_session_settings_of_psycopg2_do_not_reach_the_next_borrower(
    make_pool: MakePool, setting: dict[str, Any]
) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn()
    conn.set_session(**setting)
    run(conn, "SELECT 1")
    conn.rollback()
    pool.putconn(conn)
    assert pool.getconn() is conn
    assert (conn.isolation_level, conn.readonly, conn.deferrable, conn.autocommit) == (
        None,
        None,
        None,
        False,
    )
    assert ask(conn, "SELECT current_setting('transaction_read_only')") == "off"


@pytest.mark.parametrize(
    "set_up",
    [
        lambda conn: setattr(conn, "isolation_level", "SERIALIZABLE"),
        lambda conn: setattr(conn, "readonly", True),
        lambda conn: setattr(conn, "deferrable", True),
        lambda conn: setattr(conn, "cursor_factory", extras.DictCursor),
        lambda conn: conn.set_isolation_level(extensions.ISOLATION_LEVEL_SERIALIZABLE),
        lambda conn: conn.reset(),
    ],
    ids=["isolation_level", "readonly", "deferrable", "cursor_factory", "set_isolation_level", "reset"],
)
def test_however_it_was_set_up_the_next_borrower_finds_it_as_it_was_opened(
    make_pool: MakePool, connect_arguments: dict[str, Any], set_up: Callable[[Any], object]
) -> None:
    class Repeatable(extensions.connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.set_session(isolation_level="REPEATABLE READ")

    factories = {"connection_factory": Repeatable, "cursor_factory": extras.RealDictCursor}
    pool = make_pool(1, 1, connect={**connect_arguments, **factories})
    conn: Any = pool.getconn()
    set_up(conn)
    pool.putconn(conn)
    assert pool.getconn() is conn
    settings = (conn.isolation_level, conn.readonly, conn.deferrable, conn.cursor_factory)
    assert settings == (
        extensions.ISOLATION_LEVEL_REPEATABLE_READ,
        None,
        None,
        extras.RealDictCursor,
    )
    assert pool.stats().cleaned == 1


@pytest.mark.parametrize(
    ("autocommit", "statements"),
    [(False, ["SELECT 1", "COMMIT"]), (True, ["BEGIN", "SET TRANSACTION READ ONLY"]), (True, ["BEGIN", "1"])],
    ids=["raw commit", "raw begin", "raw begin, aborted"],
)
@pytest.mark.parametrize("next_one", [True, False, None])
def test_transactions_that_psycopg2_does_not_know_of_do_not_reach_the_next_borrower(
    make_pool: MakePool, autocommit: bool, statements: list[str], next_one: bool | None
) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn(autocommit=autocommit)
    for statement in statements:
        with suppress(psycopg2.Error):
            run(conn, statement)
    pool.putconn(conn)
    conn = pool.getconn(autocommit=next_one)
    assert conn.autocommit is bool(next_one)
    assert conn.get_transaction_status() == extensions.TRANSACTION_STATUS_IDLE
    assert ask(conn, "SELECT current_setting('transaction_read_only')") == "off"
    conn.rollback()
    pool.putconn(conn)
    assert pool.stats().idle == 1


def test_the_client_encoding_does_not_reach_the_next_borrower(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    with pool.connection() as conn:
        conn.set_client_encoding("LATIN1")
    with pool.connection() as again:
        assert again is conn
        assert again.encoding == "UTF8"


def test_statements_prepared_for_everybody_are_spared(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    with pool.connection() as conn:
        run(conn, "PREPARE swagger_server_one AS SELECT 1")
    assert pool.stats().cleaned == 0
    with pool.connection() as conn:
        run(conn, "PREPARE mine AS SELECT 2; SET search_path = elsewhere")
    with pool.connection() as conn:
        names = ask(conn, "SELECT array_agg(name) FROM pg_prepared_statements")
        assert names == ["swagger_server_one"]
        assert ask(conn, "EXECUTE swagger_server_one") == 1
    assert pool.stats().cleaned == 1


def test_bytes_and_composed_statements_are_read_too(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    for statement in (b"SET work_mem = '1234kB'", sql.SQL("SET work_mem = {}").format(sql.Literal("1234kB"))):
        with pool.connection() as conn:
            run(conn, statement)  # type: ignore[arg-type]
        assert request(pool, "SELECT current_setting('work_mem')") != "1234kB"


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    with PrivateServer() as private:
        yield private


def make_read_only(server: PrivateServer, value: str = "on") -> None:
    server.database().execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    server.database().execute("SELECT pg_reload_conf()")
    wait_until(lambda: server.database().execute("SHOW default_transaction_read_only") == [(value,)])


def write(pool: ConnectionPool) -> None:
    request(pool, "CREATE TABLE wanted (n int); SELECT 1")


def test_a_server_that_has_become_read_only_loses_all_its_connections(server: PrivateServer) -> None:
    pool = ConnectionPool(2, 4, **server.connect_kwargs)
    warm_up(pool, 3)
    held = pool.getconn()
    old = sessions(server.database())
    make_read_only(server)
    wait_until(lambda: request(pool, "SHOW default_transaction_read_only") == "on")
    with pytest.raises(ReadOnlySqlTransaction):
        write(pool)
    wait_until(lambda: sessions(server.database()) & old == {pid_of(held)})
    assert ask(held) == 1
    pool.putconn(held)
    wait_until(lambda: not sessions(server.database()) & old)
    assert request(pool) == 1
    assert pool.stats().demoted == 2
    pool.closeall()


def test_a_reader_gives_up_a_server_that_says_it_has_become_read_only(server: PrivateServer) -> None:
    options = PoolOptions(outage_grace=0)
    pool = ConnectionPool(2, 4, options=options, **server.connect_kwargs, target_session_attrs="read-write")
    warm_up(pool, 2)
    make_read_only(server)
    # What had been idle meanwhile is told with its first answer.
    assert request(pool) == 1
    wait_until(lambda: pool.stats().demoted == 2 and not sessions(server.database()))
    with pytest.raises(PoolUnavailable, match="session is read-only"):
        pool.getconn()
    make_read_only(server, "off")
    wait_until(lambda: not pool.is_down())
    assert request(pool) == 1
    pool.closeall()


def test_while_a_server_stays_read_only_its_readers_keep_their_connections(server: PrivateServer) -> None:
    make_read_only(server)
    pool = ConnectionPool(3, 3, **server.connect_kwargs)
    for _ in range(2):
        with pytest.raises(ReadOnlySqlTransaction):
            write(pool)
        wait_until_settled(pool)
    warm_up(pool, 3)
    readers = sessions(server.database())
    with pytest.raises(ReadOnlySqlTransaction):
        write(pool)
    wait_until_settled(pool)
    assert len(readers & sessions(server.database())) == 2
    pool.closeall()


def test_a_replica_that_refuses_a_write_keeps_its_connection(server: PrivateServer) -> None:
    make_read_only(server)
    pool = ConnectionPool(1, 1, options=PoolOptions(read_only=True), **server.connect_kwargs)
    before = request(pool, "SELECT pg_backend_pid()")
    for _ in range(2):
        with pytest.raises(ReadOnlySqlTransaction):
            write(pool)
    assert request(pool, "SELECT pg_backend_pid()") == before
    assert pool.stats().demoted == 0
    pool.closeall()


@pytest.mark.parametrize("prefix", ["SET TRANSACTION READ ONLY; ", "SET LOCAL transaction_read_only = on; "])
def test_a_write_in_a_read_only_transaction_of_ones_own_evicts_nothing(
    make_pool: MakePool, prefix: str
) -> None:
    pool = make_pool(1, 1)
    before = request(pool, "SELECT pg_backend_pid()")
    with pytest.raises(ReadOnlySqlTransaction):
        request(pool, prefix + "CREATE TABLE unwanted (n int)")
    assert request(pool, "SELECT pg_backend_pid()") == before
    assert pool.stats().demoted == 0


def test_a_connection_that_died_in_use_is_not_lent_again(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn()
    database.execute("SELECT pg_terminate_backend(%s, 10000)", (pid_of(conn),))
    with pytest.raises(psycopg2.OperationalError):
        ask(conn)
    pool.putconn(conn)
    assert request(pool) == 1
    assert pool.stats().lost == 1


def test_a_connection_closed_by_its_borrower_is_replaced(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    conn = pool.getconn()
    conn.close()
    pool.putconn(conn)
    assert pool.getconn() is not conn


HARMLESS = [
    "select 1",
    "SELECT count(*) FILTER (WHERE n > 1) OVER (PARTITION BY m) FROM t",
    "INSERT INTO places (id, name) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING RETURNING id",
    "INSERT INTO public.places(id) SELECT * FROM unnest(%s) AS t(id)",
    "WITH a (x) AS (SELECT 1), b (y, z) AS (SELECT 2, 3) SELECT * FROM a, b",
    "WITH RECURSIVE r(n) AS (SELECT 1) SELECT * FROM r WHERE n IN (1, 2) AND EXISTS (SELECT 1)",
    "UPDATE t SET (a, b) = (1, 2) WHERE name = 'SET x; LISTEN y' -- SET z",
    'SELECT row_to_json(t)::text FROM (SELECT lower(name) AS "set_config" FROM city) AS t',
    "BEGIN; SET LOCAL search_path = x; SELECT pg_advisory_xact_lock(1); COMMIT",
    "COPY t (a, b) FROM STDIN",
    "SELECT $tag$ SET a; pg_advisory_lock(1) $tag$, E'it\\'s; SET x', /* SET y */ CAST('1' AS numeric(10, 2))",
    "DELETE FROM t WHERE a = ANY(%s) AND b BETWEEN now() - interval '1 day' AND now();",
    "SELECT pg_catalog.lower('A'), extract(epoch FROM now()), cube_distance(p, cube(1, 2))",
    "EXECUTE swagger_server_find(1, 2)",
    'INSERT INTO public."Places" (id) VALUES (1)',
    "select a from b where c = (1) and (d, e) = (f, 2)",
    "",
    " ; ",
]

SUSPECT = [
    "SET search_path = x",
    "set  session work_mem = 1",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock (1)",
    "SELECT my_function(1)",
    "SELECT public.lower_all(1)",
    "SELECT audit.count(1)",
    "SELECT \"set_config\"('a.b', 'c', false)",
    "SELECT 1 INTO TEMP t",
    "CREATE TEMPORARY TABLE t (n int)",
    "INSERT INTO pg_temp.t VALUES (1)",
    "SELECT 1; LISTEN news",
    "PREPARE p AS SELECT 1",
    "DO $$ BEGIN END $$",
    "CALL something()",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "/* a /* nested */ SELECT */ SET x = 1",
    "SELECT 'a' || set_config('a.b', 'it''s', false)",
    "LOAD 'auto_explain'",
    "RESET ALL",
    "WITH x AS (SELECT set_config('a.b', 'c', false)) SELECT * FROM x",
    "SELECT 1 FROM t ORDER BY (SELECT pg_advisory_lock(1))",
    "SELECT " + "1, " * 10_000 + "1",
]


@pytest.mark.parametrize("statement", HARMLESS)
def test_harmless_statements_are_recognised(statement: str) -> None:
    assert leaves_session_alone(statement.encode())


@pytest.mark.parametrize("statement", SUSPECT)
def test_everything_else_counts_as_a_change(statement: str) -> None:
    assert not leaves_session_alone(statement.encode())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SELECT 'a' FROM t", "SELECT 'b' FROM t"),
        ("SELECT a FROM t LIMIT 12", "SELECT a FROM t LIMIT 34"),
        ("SELECT 'it''s' FROM t", "SELECT 'no''t' FROM t"),
    ],
)
def test_texts_that_differ_in_values_are_read_once(first: str, second: str) -> None:
    assert statements._key(first.encode()) == statements._key(second.encode())


@pytest.mark.parametrize(
    ("harmless", "suspect"),
    [
        ("SELECT 'a', 'set_config(1)'", "SELECT 'a', set_config('b')"),
        ("SELECT 1 -- it's\n, lower('a')", "SELECT 1 -- it's\n, f('a')"),
        ("SELECT 1, $$'$$, lower('')", "SELECT 1, $$'$$, mylower('')"),
        ("SELECT E'\\'', lower('a')", "SELECT E'\\'', f('a')"),
        ("SELECT \"'\", lower('a')", "SELECT \"'\", f('a')"),
    ],
)
def test_a_remembered_answer_is_not_given_for_another_text(harmless: str, suspect: str) -> None:
    for _ in range(2):
        assert leaves_session_alone(harmless.encode())
        assert not leaves_session_alone(suspect.encode())


def test_no_function_that_counts_as_harmless_has_a_digit_in_its_name() -> None:
    assert not [name for name in statements._HARMLESS_CALLS if any(sign.isdigit() for sign in name)]


def test_reading_ever_new_texts_keeps_memory_bounded() -> None:
    for number in range(3000):
        leaves_session_alone(f'SELECT 1 AS "{number}"'.encode())
    assert len(statements._known) <= statements.MOST_KNOWN


def test_a_named_cursor_with_hold_counts_as_a_change(make_pool: MakePool) -> None:
    pool = make_pool(1, 1)
    with pool.connection() as conn:
        conn.cursor("held", withhold=True).execute("SELECT 1")
    assert request(pool, "SELECT count(*) FROM pg_cursors WHERE name = 'held'") == 0
