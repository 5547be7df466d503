"""What the pool promises, behind PgBouncer: its own tests again, and what is different there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from swagger_server.pool import ConnectionPool
from tests.pool.conftest import MakePool
from tests.pool.test_bookkeeping import (
    test_a_connection_held_too_long_is_reported_once,
    test_a_hundred_dropped_connections_cost_no_place_and_are_each_reported_once,
    test_a_hundred_sessions_killed_in_a_transaction_cost_no_place,
    test_while_a_connect_hangs_others_take_and_give,
)
from tests.pool.test_lending import (
    test_a_caller_waits_no_longer_than_its_timeout,
    test_a_caller_who_comes_later_does_not_overtake,
    test_connections_cut_by_the_network_fail_nobody,
    test_connections_go_to_waiters_in_the_order_in_which_they_came,
    test_eight_busy_threads_need_at_most_eight_connections,
    test_lost_connections_are_replaced_side_by_side,
    test_none_of_sixteen_threads_on_four_connections_starves,
)
from tests.pool.test_outage import (
    test_a_commit_that_gets_no_answer_is_cut_too,
    test_a_frozen_server_holds_up_neither_getconn_nor_putconn_nor_a_query,
    test_cleaning_that_gets_no_answer_gives_its_place_up,
    test_interrupting_on_a_frozen_server_stops_nobody,
)
from tests.pool.tools import in_threads, kill_sessions, request, warm_up
from tests.support.pgbouncer import PgBouncer
from tests.support.proxy import Proxy
from tests.support.servers import Database, PrivateServer

__all__ = [
    "test_a_caller_waits_no_longer_than_its_timeout",
    "test_a_caller_who_comes_later_does_not_overtake",
    "test_a_commit_that_gets_no_answer_is_cut_too",
    "test_a_connection_held_too_long_is_reported_once",
    "test_a_frozen_server_holds_up_neither_getconn_nor_putconn_nor_a_query",
    "test_a_hundred_dropped_connections_cost_no_place_and_are_each_reported_once",
    "test_a_hundred_sessions_killed_in_a_transaction_cost_no_place",
    "test_cleaning_that_gets_no_answer_gives_its_place_up",
    "test_connections_cut_by_the_network_fail_nobody",
    "test_connections_go_to_waiters_in_the_order_in_which_they_came",
    "test_eight_busy_threads_need_at_most_eight_connections",
    "test_interrupting_on_a_frozen_server_stops_nobody",
    "test_lost_connections_are_replaced_side_by_side",
    "test_none_of_sixteen_threads_on_four_connections_starves",
    "test_while_a_connect_hangs_others_take_and_give",
]


@dataclass
class Bounced:
    """A server that may be frozen, reached by way of a PgBouncer that is not."""

    server: PrivateServer
    bouncer: PgBouncer

    @property
    def connect_kwargs(self) -> dict[str, Any]:
        return self.bouncer.connect_kwargs

    def freeze(self) -> None:
        self.server.freeze()

    def thaw(self) -> None:
        self.server.thaw()


@pytest.fixture(scope="module")
def server() -> Iterator[Bounced]:
    with PrivateServer() as running, PgBouncer(running.database()) as bouncer:
        yield Bounced(running, bouncer)


def test_server_connections_killed_while_idle_fail_nobody(make_pool: MakePool, database: Database) -> None:
    pool = make_pool(8, 8)
    warm_up(pool, 8)
    in_threads(8, lambda: [request(pool) for _ in range(10)])
    assert kill_sessions(database) >= 1
    assert [request(pool) for _ in range(30)] == [1] * 30
    assert kill_sessions(database) >= 1
    assert in_threads(8, lambda: [request(pool) for _ in range(10)]) == [[1] * 10] * 8
    assert pool.stats().connects == 8


def test_lending_sends_nothing(make_pool: MakePool, through_proxy: Any, proxy: Proxy) -> None:
    pool = make_pool(1, 1, connect=through_proxy)
    request(pool)
    proxy.swallow()
    for _ in range(100):
        pool.putconn(pool.getconn(timeout=0))
    assert proxy.swallowed == 0


def test_many_connections_share_few(make_pool: MakePool, pool_database: Database, database: Database) -> None:
    with PgBouncer(pool_database, size=2) as bouncer:
        pool = make_pool(8, 8, connect=bouncer.connect_kwargs)
        pids = in_threads(8, lambda: [request(pool, "SELECT pg_backend_pid()") for _ in range(20)])
        assert pool.stats().connects == 8
        assert len({pid for each in pids for pid in each}) <= 2


def test_connecting_needs_no_setting_of_the_pooler(bouncer: PgBouncer) -> None:
    # PgBouncer refuses startup parameters that it does not know, unless it is told to ignore them.
    pool = ConnectionPool(1, 1, **bouncer.connect_kwargs, application_name="told")
    assert request(pool, "SELECT current_setting('application_name')") == "told"
    pool.closeall()
