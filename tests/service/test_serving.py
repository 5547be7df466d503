"""What the servers hand over: truncated and large bodies, full queues, streams beside requests, odd requests."""

import concurrent.futures
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

SLEEPING = """SELECT count(*) FROM pg_stat_activity
    WHERE query LIKE '%pg_sleep(3%' AND state = 'active' AND pid <> pg_backend_pid()"""


@contextmanager
def served(database: Database, *arguments: str, **settings: str) -> Iterator[Gunicorn]:
    env = environment_for({"default": database}, **settings)
    with start_gunicorn("-w", "1", *arguments, env=env, app=LEDGER) as service:
        yield service


def send_raw(service: Gunicorn, request: bytes, *, half_close: bool = False) -> bytes:
    """What comes back for a request that is sent as it is; `half_close` says that nothing more will come."""
    with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), timeout=20) as client:
        client.sendall(request)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return client.recv(65536)


def test_a_body_that_ends_too_early_is_not_taken_for_the_whole(ledger: Gunicorn, entries: Database):
    body = b'{"name": "half", "amount": 1}'
    head = b"POST /ledger/entries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    answer = send_raw(ledger, head + b"Content-Length: 100\r\n\r\n" + body, half_close=True)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert entries.execute("SELECT count(*) FROM entry") == [(0,)]


def test_the_whole_address_in_the_request_line_is_understood(ledger: Gunicorn):
    answer = send_raw(
        ledger, b"GET http://any.example/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_websocket_is_refused_without_a_stack_trace(ledger: Gunicorn):
    upgrade = (
        b"GET /ledger/entries HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = send_raw(ledger, upgrade)
    assert b" 101 " not in answer.split(b"\r\n", 1)[0]
    assert b" 500 " not in answer.split(b"\r\n", 1)[0]
    assert "Traceback" not in ledger.log()


@pytest.mark.parametrize("worker", ["gthread", OWN_WORKER])
def test_a_large_upload_arrives_whole(ledger_database: Database, worker: str):
    with served(ledger_database, "-k", worker, SERVER_MAX_BODY="10000000") as service:
        files = {"file": ("large.bin", b"x" * 3_000_000, "application/octet-stream")}
        answer = requests.post(f"{service.url}/ledger/upload", files=files, timeout=20)
        assert answer.json() == {"name": "large.bin", "size": 3_000_000}


def test_a_request_is_refused_in_time_while_all_threads_are_busy(ledger_database: Database):
    with (
        served(ledger_database, "-k", OWN_WORKER, POOL_MAX="1", POOL_TIMEOUT="0.3") as service,
        concurrent.futures.ThreadPoolExecutor(1) as other,
    ):
        busy = other.submit(requests.get, f"{service.url}/ledger/sleep?seconds=3", timeout=20)
        wait_until(lambda: ledger_database.execute(SLEEPING) == [(1,)])
        refused = requests.get(f"{service.url}/ledger/entries", timeout=20)
        assert not busy.done()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert requests.get(f"{service.url}/health/live", timeout=20).ok
        assert not busy.done()
        assert busy.result().json() == {"slept": 3}


def test_streams_go_on_while_requests_wait_for_their_connections(ledger_database: Database):
    with served(ledger_database, "-k", OWN_WORKER, POOL_MAX="2", POOL_TIMEOUT="1") as service:

        def read(_number: int) -> str:
            return requests.get(f"{service.url}/ledger/stream?rows=5000", timeout=30).text

        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            streams = [clients.submit(read, number) for number in range(2)]
            while not all(stream.done() for stream in streams):
                asked = [clients.submit(requests.get, f"{service.url}/ledger/entries", timeout=30)] * 6
                assert {answer.result().status_code for answer in asked} <= {200, 503}
        assert {stream.result() for stream in streams} == {"".join(f"{n} on\n" for n in range(1, 5001))}
