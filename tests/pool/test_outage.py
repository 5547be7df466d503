"""The database goes away, or stands still, and comes back."""

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from typing import Any

import psycopg2
import pytest

from swagger_server.pool import ConnectionPool, PoolOptions, PoolTimeout, PoolUnavailable
from tests.pool.conftest import MakePool
from tests.pool.tools import (
    ask,
    borrow,
    in_background,
    in_threads,
    pid_of,
    request,
    sessions,
    wait_for_waiters,
    wait_until_settled,
    warm_up,
)
from tests.support.process import wait_until
from tests.support.proxy import Proxy
from tests.support.servers import Database, PrivateServer, free_port


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer() as running:
        yield running


def pool_on(server: PrivateServer, minconn: int = 2, maxconn: int = 4, **options: Any) -> ConnectionPool:
    return ConnectionPool(minconn, maxconn, options=PoolOptions(**options), **server.connect_kwargs)


def test_a_database_that_is_down_neither_raises_nor_hangs_at_construction() -> None:
    pool = ConnectionPool(2, 4, host="127.0.0.1", port=free_port(), options=PoolOptions(outage_grace=0.05))
    assert pool.stats().total <= 2
    wait_until(lambda: pool.stats().down)
    with pytest.raises(PoolUnavailable, match=r"'default': the database is down for .* s: .*refused"):
        pool.getconn()
    pool.closeall()


def test_waiters_are_kept_for_the_grace_and_later_callers_are_refused(server: PrivateServer) -> None:
    pool = pool_on(server, timeout=30, outage_grace=0.5)
    server.stop()
    try:
        assert isinstance(in_background(pool.getconn).exception(20), PoolUnavailable)
        assert pool.stats().down_for >= 0.5
        for _ in range(20):
            with pytest.raises(PoolUnavailable):
                pool.getconn()
        stats = pool.stats()
        assert (stats.unavailable, stats.exhausted, stats.down) == (21, 0, True)
    finally:
        server.start()
    wait_until(lambda: not pool.stats().down)
    assert in_threads(4, lambda: [request(pool) for _ in range(5)]) == [[1] * 5] * 4
    pool.closeall()


def test_a_restart_within_the_grace_fails_nobody_who_waits(server: PrivateServer) -> None:
    pool = pool_on(server, timeout=30, outage_grace=20)
    warm_up(pool, 4)
    server.stop()
    waiting = [in_background(lambda: request(pool)) for _ in range(8)]
    wait_for_waiters(pool, 8)
    server.start()
    assert [each.result(20) for each in waiting] == [1] * 8
    assert pool.stats().unavailable == 0
    pool.closeall()


def test_only_one_probe_is_out_while_the_database_is_down(server: PrivateServer) -> None:
    pool = pool_on(server, timeout=30, outage_grace=20)
    warm_up(pool, 4)
    server.stop()
    waiting = [in_background(lambda: request(pool)) for _ in range(8)]
    wait_until(lambda: pool.stats().connect_failures > 8)
    assert pool.stats().opening == 1
    server.start()
    assert [each.result(20) for each in waiting] == [1] * 8
    pool.closeall()


def test_a_caller_after_a_long_quiet_outage_is_not_refused_on_old_knowledge(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "swagger_server.pool.opening.ASKED_LATELY", 0.0
    )  # nobody ever asked lately: long pauses
    monkeypatch.setattr("swagger_server.pool.opening.LONGEST_PAUSE_UNASKED", 60.0)
    monkeypatch.setattr("swagger_server.pool.opening.FRESH", 0.0)
    pool = pool_on(server, timeout=30, outage_grace=0.01)
    server.stop()
    with pytest.raises(PoolUnavailable):
        pool.getconn()
    wait_until(lambda: pool._opener._pauses._due - pool._opener._pauses._asked_at > 1)
    server.start()
    assert request(pool) == 1
    pool.closeall()


def test_a_frozen_server_holds_up_neither_getconn_nor_putconn_nor_a_query(server: PrivateServer) -> None:
    pool = pool_on(server, timeout=0.3, query_timeout=0.3)
    first, second = pool.getconn(), pool.getconn()
    ask(first)
    server.freeze()
    try:
        query = in_background(ask, second)
        pool.putconn(first)  # in a transaction: cleaning it takes a round trip
        with pytest.raises(PoolTimeout):
            pool.getconn()
        assert isinstance(query.exception(10), psycopg2.OperationalError)
        assert pool.stats().cut == 1
        pool.putconn(second)
    finally:
        server.thaw()
    assert in_threads(4, lambda: request(pool)) == [1] * 4
    pool.closeall()


def test_a_commit_that_gets_no_answer_is_cut_too(
    make_pool: MakePool, through_proxy: Any, proxy: Proxy
) -> None:
    pool = make_pool(1, 2, connect=through_proxy, query_timeout=0.2)
    conn = pool.getconn()
    ask(conn)
    proxy.swallow()
    with pytest.raises(psycopg2.OperationalError):
        conn.commit()
    proxy.pass_on()
    pool.putconn(conn)
    assert request(pool) == 1
    assert pool.stats().cut == 1


def test_a_cut_is_counted_and_told_before_the_borrower_goes_on(server: PrivateServer) -> None:
    pool = pool_on(server, query_timeout=0.2)
    conn = pool.getconn()
    at_the_warning: list[tuple[bool, int]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            went_on = bool(wait([running], timeout=0.5).done)
            at_the_warning.append((went_on, pool.stats().cut))

    listener = Listener(logging.WARNING)
    logger = logging.getLogger("swagger_server.pool")
    logger.addHandler(listener)
    server.freeze()
    try:
        running = in_background(ask, conn)
        assert isinstance(running.exception(20), psycopg2.OperationalError)
    finally:
        server.thaw()
        logger.removeHandler(listener)
    assert at_the_warning == [(False, 1)]
    pool.putconn(conn)
    pool.closeall()


def test_short_statements_one_after_another_are_not_cut(make_pool: MakePool) -> None:
    pool = make_pool(1, 1, query_timeout=0.3)
    conn = pool.getconn()
    for _ in range(5):
        ask(conn, "SELECT pg_sleep(0.1)::text")
    with conn.cursor("several") as cursor:
        cursor.execute("SELECT pg_sleep(0.1)::text FROM generate_series(1, 5)")
        for _ in range(5):
            cursor.fetchmany(1)
    pool.putconn(conn)
    assert pool.stats().cut == 0


def test_cleaning_that_gets_no_answer_gives_its_place_up(
    make_pool: MakePool, through_proxy: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swagger_server.pool.housekeeping.CLEANING_LIMIT", 0.2)
    pool = make_pool(1, 1, connect=through_proxy, timeout=30)
    conn = pool.getconn()
    ask(conn)
    proxy.swallow()
    pool.putconn(conn)
    assert pool.stats().cleaning == 1
    wait_until(lambda: pool.stats().lost == 1)
    proxy.pass_on()
    proxy.cut()
    assert request(pool) == 1


def test_an_interrupted_statement_ends_for_its_borrower_and_in_the_server(
    make_pool: MakePool, database: Database
) -> None:
    pool = make_pool(1, 2, timeout=30)
    conn = pool.getconn()
    pid = pid_of(conn)
    running = in_background(ask, conn, "SELECT pg_sleep(60)::text")
    wait_until(lambda: conn.busy_since)
    pool.interrupt(conn)
    assert isinstance(running.exception(10), psycopg2.OperationalError)
    wait_until(lambda: pid not in sessions(database))
    pool.putconn(conn)
    assert request(pool) == 1
    assert pool.stats().lost == 1


def test_a_session_is_ended_by_way_of_tcp_too(server: PrivateServer) -> None:
    pool = ConnectionPool(1, 2, **server.tcp_kwargs)
    conn = pool.getconn()
    running = in_background(ask, conn, "SELECT pg_sleep(60)::text")
    wait_until(lambda: conn.busy_since)
    pool.interrupt(conn)
    assert running.exception(10) is not None
    wait_until(lambda: pid_of_sleepers(server) == [])
    pool.closeall()


def pid_of_sleepers(server: PrivateServer) -> list[tuple[int]]:
    query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    return server.database().execute(query)


def test_interrupting_on_a_frozen_server_stops_nobody(server: PrivateServer) -> None:
    pool = pool_on(server, query_timeout=0.3, timeout=0.3)
    conn = pool.getconn()
    server.freeze()
    try:
        running = in_background(ask, conn)
        wait_until(lambda: conn.busy_since)
        pool.interrupt(conn)
        assert isinstance(running.exception(10), psycopg2.OperationalError)
        pool.putconn(conn)
        pool.interrupt(conn)  # not lent any more: nothing happens
    finally:
        server.thaw()
    wait_until_settled(pool)
    assert request(pool) == 1
    pool.closeall()


def test_a_connect_that_hangs_does_not_keep_others_from_being_tried(
    make_pool: MakePool, through_proxy: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swagger_server.pool.housekeeping.PATIENCE", 0.05)
    pool = make_pool(1, 3, connect={**through_proxy, "connect_timeout": 60}, timeout=30)
    held = pool.getconn()
    before = proxy.accepted
    proxy.swallow()
    waiting = in_background(pool.getconn)
    wait_until(lambda: proxy.swallowed > 0)
    proxy.pass_on()
    got = waiting.result(20)
    assert proxy.accepted >= before + 2
    assert pool.stats().opening >= 1  # the first still hangs
    for conn in (held, got):
        pool.putconn(conn)


STAND_IN = {"query_timeout": 0.4, "brief_timeout": 0.2, "outage_grace": 0.0, "timeout": 30.0}
"""Of a pool that another one can stand in for."""


@pytest.mark.parametrize("minconn", [0, 2])
def test_a_server_that_does_not_answer_counts_as_down_until_it_does(
    server: PrivateServer, minconn: int
) -> None:
    pool = pool_on(server, minconn, **STAND_IN)
    warm_up(pool, 2)
    conn = pool.getconn()
    assert not pool.is_down()
    server.freeze()
    try:
        with pytest.raises(psycopg2.OperationalError):
            ask(conn)
        pool.putconn(conn)
        # Its other session is idle, and looks alive.
        wait_until(pool.is_down)
        wait_until(lambda: pool.stood_still() > 2 * STAND_IN["brief_timeout"])
        assert pool.is_down()
    finally:
        server.thaw()
    wait_until(lambda: not pool.is_down())
    assert request(pool) == 1
    assert pool.stats().cut == 1
    pool.closeall()


def test_a_brief_statement_is_cut_early_and_then_all_that_get_no_answer_either(
    server: PrivateServer,
) -> None:
    pool = pool_on(server, **{**STAND_IN, "query_timeout": 60.0})
    brief, other = borrow(pool, 2)
    brief.is_brief = True
    server.freeze()
    try:
        running = [in_background(ask, conn) for conn in (brief, other)]
        errors = [each.exception(20) for each in running]
    finally:
        server.thaw()
    assert [isinstance(error, psycopg2.OperationalError) for error in errors] == [True, True]
    assert pool.stats().cut == 2
    for conn in (brief, other):
        pool.putconn(conn)
    wait_until(lambda: not pool.is_down())
    assert request(pool) == 1
    pool.closeall()


def test_a_server_on_which_a_statement_had_to_be_interrupted_is_found_to_stand_still(
    server: PrivateServer,
) -> None:
    pool = pool_on(server, **{**STAND_IN, "query_timeout": 0.0})
    conn = pool.getconn()
    server.freeze()
    try:
        running = in_background(ask, conn)
        wait_until(lambda: conn.busy_since)
        pool.interrupt(conn)
        assert isinstance(running.exception(20), psycopg2.OperationalError)
        wait_until(pool.is_down)
    finally:
        server.thaw()
    pool.putconn(conn)
    wait_until(lambda: not pool.is_down())
    assert request(pool) == 1
    pool.closeall()


def test_connections_that_a_dead_network_has_seen_are_not_lent_again(
    make_pool: MakePool, through_proxy: Any, proxy: Proxy
) -> None:
    pool = make_pool(2, 3, connect={**through_proxy, "connect_timeout": 2}, **STAND_IN)
    warm_up(pool, 3)
    conn = pool.getconn()
    proxy.swallow()
    with pytest.raises(psycopg2.OperationalError):
        ask(conn)
    pool.putconn(conn)
    wait_until(lambda: pool.stood_still() > 1)
    proxy.forget()
    wait_until(lambda: not pool.is_down())
    # Nobody hangs in one that has been forgotten.
    for each in borrow(pool, 3):
        assert ask(each) == 1
        pool.putconn(each)
    assert pool.stats().cut == 1


def test_a_statement_that_is_merely_slow_costs_its_own_connection_only(
    make_pool: MakePool, database: Database
) -> None:
    pool = make_pool(2, 2, **STAND_IN)
    first, second = borrow(pool, 2)
    pool.putconn(second)
    kept = pid_of(second)
    with pytest.raises(psycopg2.OperationalError):
        ask(first, "SELECT pg_sleep(60)::text")
    pool.putconn(first)
    wait_until(lambda: pool.stats().connects == 3 and not pool.is_down())
    assert kept in {pid_of(conn) for conn in borrow(pool, 2)}
    assert (pool.stats().cut, pool.stats().retired) == (1, 0)


def test_the_password_is_in_no_message(server: PrivateServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "swagger_server.pool")
    pool = ConnectionPool(
        1, 1, host="127.0.0.1", port=free_port(), password="s3cret", options=PoolOptions(outage_grace=0.01)
    )
    with pytest.raises(PoolUnavailable) as raised:
        pool.getconn()
    assert "s3cret" not in str(raised.value) + repr(pool) + caplog.text
    assert "cannot connect" in caplog.text
    pool.closeall()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_during_an_outage_starts_anew_in_the_child(server: PrivateServer) -> None:
    pool = pool_on(server)
    server.stop()
    asking = in_background(pool.getconn)
    wait_until(lambda: pool.stats().down)
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.close(reading)
        os.write(writing, f"{pool.stats().down} {threading.active_count()}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"False 1"
    os.close(reading)
    server.start()
    pool.putconn(asking.result(20))
    pool.closeall()
