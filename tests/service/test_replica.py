"""Reads from a streaming replica, and what a client reads after its own write."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from swagger_server import position
from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import ReplicatedServer

HEADER = "X-Database-Position"
COOKIE = "database_position"

CACHE_SECONDS = 30
PATIENCE = 60  # seconds that a request would wait for a connection
THREADS = 3  # of the service with few


@pytest.fixture(scope="module")
def primary() -> Iterator[ReplicatedServer]:
    with ReplicatedServer() as server:
        server.database().execute(TABLES)
        yield server


@pytest.fixture(scope="module")
def replica(primary: ReplicatedServer) -> Iterator[ReplicatedServer]:
    with primary.standby() as server:
        # A read that is in the way of the replay is ended at once.
        server.database().execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        server.database().execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="module")
def service(primary: ReplicatedServer, replica: ReplicatedServer) -> Iterator[Gunicorn]:
    env = environment_for(
        {"default": primary.database(), "replica": replica.database()},
        POSTGRES_REPLICA_READ_ONLY="yes",
        POOL_TIMEOUT=str(PATIENCE),
        SERVER_DEADLINE=str(PATIENCE),
        SERVER_STATEMENT_TIMEOUT=str(PATIENCE),
        SERVER_CACHE_SECONDS=str(CACHE_SECONDS),
    )
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", "--threads", "8", env=env, app=LEDGER) as started:
        yield started


@pytest.fixture
def client(service: Gunicorn, primary: ReplicatedServer, replica: ReplicatedServer) -> Iterator["Client"]:
    """A client, at a time when there are no entries and the replica has caught up."""
    primary.database().execute("TRUNCATE entry RESTART IDENTITY CASCADE")
    replica.wait_for(primary)
    with Client(service) as fresh:
        wait_until(fresh.is_served_by_replica)
        yield fresh


class Client(requests.Session):
    """One client of the service; like a browser it keeps cookies."""

    def __init__(self, service: Gunicorn) -> None:
        super().__init__()
        self._url = f"{service.url}/ledger"

    def read(self, path: str = "/entries", **headers: str) -> requests.Response:
        return self.get(self._url + path, headers=headers, timeout=PATIENCE)

    def names(self, **headers: str) -> list[str]:
        return [entry["name"] for entry in self.read(**headers).json()]

    def write(self, name: str) -> requests.Response:
        answer = self.post(f"{self._url}/entries", json={"name": name, "amount": 1}, timeout=PATIENCE)
        assert answer.status_code == 201, answer.text
        return answer

    def is_served_by_replica(self, **headers: str) -> bool:
        return bool(self.read("/session", **headers).json()["in_recovery"])


@contextmanager
def paused(replica: ReplicatedServer) -> Iterator[None]:
    replica.pause_replay()
    try:
        yield
    finally:
        replica.resume_replay()


@contextmanager
def frozen(replica: ReplicatedServer) -> Iterator[None]:
    replica.freeze()
    try:
        yield
    finally:
        replica.thaw()


def test_reads_come_from_the_replica_and_writes_go_to_the_primary(
    client: Client, primary: ReplicatedServer, replica: ReplicatedServer, service: Gunicorn
):
    assert client.is_served_by_replica()
    client.write("rent")
    assert primary.database().execute("SELECT name FROM entry") == [("rent",)]
    replica.wait_for(primary)
    with Client(service) as other:
        assert other.names() == ["rent"]
        assert other.read("/consistent").json() == {"same_transaction": True, "read_only": "on"}
        assert other.read("/stream?rows=3").text == "1 on\n2 on\n3 on\n"


def test_a_client_sees_its_own_writes_while_others_read_the_replica(
    client: Client, primary: ReplicatedServer, replica: ReplicatedServer, service: Gunicorn
):
    with paused(replica), Client(service) as other, Client(service) as without_cookies:
        answer = client.write("rent")
        assert client.names() == ["rent"]
        assert not client.is_served_by_replica()
        assert other.names() == []
        assert other.is_served_by_replica()
        assert without_cookies.names(**{HEADER: answer.headers[HEADER]}) == ["rent"]
        client.write("food")
        assert client.names() == ["rent", "food"]
    replica.wait_for(primary)
    wait_until(client.is_served_by_replica)
    assert client.names() == ["rent", "food"]


def test_an_earlier_position_is_served_by_a_replica_that_stands_still_after_it(
    client: Client, primary: ReplicatedServer, replica: ReplicatedServer, service: Gunicorn
):
    answer = client.write("rent")
    primary.database().execute("SELECT pg_switch_wal()")
    replica.wait_for(primary)
    with paused(replica), Client(service) as other:
        other.write("food")
        assert client.is_served_by_replica()
        assert client.is_served_by_replica(**{HEADER: answer.headers[HEADER]})
        assert not other.is_served_by_replica()


MADE_UP = [
    "",
    "0/0",
    "x",
    "0/",
    "/0",
    "-1/0",
    "0/0/0",
    "1 OR 1",
    "0/123456789",
    "0/'; SELECT 1 --",
    "é",
    "1/٣",
]


@pytest.mark.parametrize("position", MADE_UP)
def test_a_malformed_position_is_ignored(client: Client, position: str):
    assert client.is_served_by_replica(**{HEADER: position.encode()})
    assert client.is_served_by_replica(Cookie=f"{COOKIE}={position}".encode())


@pytest.mark.parametrize("position", ["FFFFFFFF/FFFFFFFF", "ffffffff/0"])
def test_a_forged_position_only_leads_to_the_primary(client: Client, position: str):
    assert not client.is_served_by_replica(**{HEADER: position})
    assert not client.is_served_by_replica(Cookie=f"a=b; {COOKIE}={position}; c=d")
    assert client.is_served_by_replica()


def test_the_later_of_header_and_cookie_counts(client: Client):
    headers = {HEADER: "0/1", "Cookie": f'{COOKIE}="FFFFFFFF/0"'}
    assert not client.is_served_by_replica(**headers)


def test_the_answer_to_a_write_carries_its_position(client: Client, primary: ReplicatedServer):
    answer = client.write("rent")
    position = answer.headers[HEADER]
    (cookie,) = client.cookies
    assert (cookie.name, cookie.value, cookie.path) == (COOKIE, position, "/")
    assert cookie.has_nonstandard_attr("HttpOnly")
    # Longer than any cache may show what was read before the write.
    assert f"Max-Age={CACHE_SECONDS + 60};" in answer.headers["Set-Cookie"]
    behind = primary.database().execute("SELECT pg_current_wal_insert_lsn() >= %s::pg_lsn", (position,))
    assert behind == [(True,)]
    assert HEADER in answer.headers["Access-Control-Expose-Headers"]


def test_what_writes_nothing_carries_no_position(client: Client, service: Gunicorn):
    refused = client.post(f"{service.url}/ledger/write-then-refuse", timeout=PATIENCE)
    assert refused.status_code == 422
    read = client.read()
    for answer in (refused, read):
        assert HEADER not in answer.headers
        assert "Set-Cookie" not in answer.headers


def test_a_cache_is_told_that_a_read_depends_on_the_position(client: Client):
    read = client.read("/session")
    assert read.headers["Cache-Control"] == f"max-age={CACHE_SECONDS}"
    assert {"Cookie", HEADER} <= {name.strip() for name in read.headers["Vary"].split(",")}
    client.write("rent")
    assert client.read("/session").headers["Cache-Control"] == f"private, max-age={CACHE_SECONDS}"


def test_a_write_in_a_get_is_refused_and_costs_the_replica_no_connection(client: Client):
    before = client.read("/session").json()
    for _ in range(3):
        assert client.read("/write-in-a-get").status_code == 500
    wait_until(lambda: client.read("/session").json()["pid"] == before["pid"])


def test_a_read_that_is_in_the_way_of_the_replay_is_run_again_on_the_primary(
    client: Client, primary: ReplicatedServer, replica: ReplicatedServer
):
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(client.read, "/count-slowly?seconds=2")
        wait_until(lambda: runs_slowly(replica))
        primary.database().execute("TRUNCATE entry CASCADE")
        answer = slow.result()
    assert (answer.status_code, answer.json()) == (200, {"count": 0, "in_recovery": False})


def runs_slowly(server: ReplicatedServer) -> bool:
    sql = """SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active'
        AND pid <> pg_backend_pid()"""
    return server.database().execute(sql) == [(1,)]


def test_while_the_replica_is_down_reads_come_from_the_primary_at_once(
    client: Client, replica: ReplicatedServer, service: Gunicorn
):
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(client.read, "/count-slowly?seconds=1")
        wait_until(lambda: runs_slowly(replica))
        replica.stop("immediate")
        try:
            under_way = slow.result()
            begun = time.monotonic()
            served = [client.is_served_by_replica() for _ in range(50)]
            took = time.monotonic() - begun
            ready = client.get(f"{service.url}/health/ready", timeout=PATIENCE)
        finally:
            replica.start()
    assert (under_way.status_code, under_way.json()) == (200, {"count": 0, "in_recovery": False})
    assert served == [False] * 50
    assert took < PATIENCE / 4  # each would have waited so long
    assert (ready.status_code, ready.json()["databases"]["replica"]) == (200, "unavailable")
    wait_until(client.is_served_by_replica)


@pytest.fixture
def quick_service(primary: ReplicatedServer, replica: ReplicatedServer) -> Iterator[Gunicorn]:
    """One with few threads, whose statements end after a second."""
    env = environment_for(
        {"default": primary.database(), "replica": replica.database()},
        POSTGRES_REPLICA_READ_ONLY="yes",
        POOL_MAX=str(THREADS),
        SERVER_STATEMENT_TIMEOUT="1",
    )
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", "--threads", "8", env=env, app=LEDGER) as started:
        yield started


def slowly_served_by_replica(client: Client) -> bool:
    return bool(client.read("/count-slowly?seconds=0.2").json()["in_recovery"])


def cuts(service: Gunicorn) -> int:
    return service.log().count("cut a connection whose statement ran longer")


@pytest.mark.parametrize("reads_at_first", [THREADS - 1, 3 * THREADS - 1])
def test_a_replica_that_stands_still_delays_the_first_reads_and_fails_none(
    quick_service: Gunicorn, primary: ReplicatedServer, replica: ReplicatedServer, reads_at_first: int
):
    primary.database().execute("TRUNCATE entry RESTART IDENTITY CASCADE")
    replica.wait_for(primary)
    clients = [Client(quick_service) for _ in range(3 * THREADS)]
    with ThreadPoolExecutor(len(clients)) as threads:
        # As many connections as there can be.
        wait_until(lambda: all(threads.map(slowly_served_by_replica, clients[:THREADS])))
        with frozen(replica):
            reads = [threads.submit(each.read, "/session") for each in clients[-reads_at_first:]]
            clients[0].write("rent")
            answers = [read.result() for read in reads]
            first_cuts = cuts(quick_service)
            later = [each.read("/session") for each in clients]
        wait_until(clients[1].is_served_by_replica)
    assert {answer.status_code for answer in (*answers, *later)} == {200}
    assert {answer.json()["in_recovery"] for answer in (*answers, *later)} == {False}
    assert 1 <= first_cuts <= THREADS
    assert cuts(quick_service) == first_cuts
    assert primary.database().execute("SELECT name FROM entry") == [("rent",)]
    wait_until(clients[0].is_served_by_replica)
    for each in clients:
        each.close()


def test_a_replica_that_does_not_say_how_far_it_has_come_is_left_alone(
    client: Client, replica: ReplicatedServer, service: Gunicorn
):
    before = cuts(service)
    client.write("rent")
    with frozen(replica):
        # Its statements may take PATIENCE here, but not this question.
        assert client.names() == ["rent"]
        assert client.names() == ["rent"]
    assert cuts(service) == before + 1
    wait_until(client.is_served_by_replica)


def test_what_was_committed_before_an_exception_is_seen_by_its_client(
    client: Client, replica: ReplicatedServer, service: Gunicorn
):
    with paused(replica):
        answer = client.post(f"{service.url}/ledger/committed-block", timeout=PATIENCE)
        assert answer.status_code == 500
        assert client.cookies[COOKIE] == answer.headers[HEADER]
        assert answer.headers[HEADER] != position.text(position.UNKNOWN)
        assert client.names() == ["in the block"]
        assert not client.is_served_by_replica()
    wait_until(client.is_served_by_replica)


def test_an_exception_that_undoes_everything_carries_no_position(client: Client, service: Gunicorn):
    answer = client.post(f"{service.url}/ledger/write-then-raise", timeout=PATIENCE)
    assert answer.status_code == 500
    assert HEADER not in answer.headers
    assert "Set-Cookie" not in answer.headers
