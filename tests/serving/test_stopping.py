"""How the worker ends connections: a client that sends a request in that moment is answered."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.serving.test_worker import all_of, connected, request
from tests.support.process import OWN_WORKER, Gunicorn, has_died, start_gunicorn, wait_until


@contextmanager
def served(*arguments: str) -> Iterator[Gunicorn]:
    arguments = ("-k", OWN_WORKER, "-c", "/dev/null", *arguments)
    with start_gunicorn(*arguments, app="tests.serving.worker_app") as service:
        yield service


@pytest.fixture
def service() -> Iterator[Gunicorn]:
    with served() as running:
        yield running


def stop_worker(service: Gunicorn) -> int:
    """SIGTERM to the worker; returns its pid once it stops."""
    [pid] = service.workers()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: "Shutting down" in service.log())
    return pid


def use(client: socket.socket) -> None:
    client.sendall(request("/used"))
    assert client.recv(65536).endswith(b"GET /used")


def test_requests_that_come_while_the_worker_stops_are_answered(service: Gunicorn):
    with connected(service) as fresh, connected(service) as used, connected(service) as half:
        use(used)
        half.sendall(request("/half")[:-2])
        requests.get(f"{service.url}/", timeout=20)  # by now the worker has accepted all of them
        pid = stop_worker(service)
        for client, path, sent in (
            (fresh, b"/fresh", request("/fresh")),
            (used, b"/again", request("/again")),
            (half, b"/half", b"\r\n"),
        ):
            client.sendall(sent)
            answer = all_of(client)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in answer
            assert answer.endswith(b"GET " + path)
        wait_until(lambda: has_died(pid))


def test_worker_ends_though_clients_say_nothing_more(service: Gunicorn):
    with connected(service) as fresh, connected(service) as used:
        use(used)
        requests.get(f"{service.url}/", timeout=20)
        pid = stop_worker(service)
        assert all_of(fresh) == all_of(used) == b""
        wait_until(lambda: has_died(pid))


def test_worker_ends_in_time_though_requests_do_not():
    with (
        served("--graceful-timeout", "3") as service,
        connected(service) as body,
        connected(service) as stuck,
    ):
        body.sendall(request("/posted", "Content-Length: 10", method="POST") + b"half")
        stuck.sendall(request("/minute"))
        requests.get(f"{service.url}/", timeout=20)
        pid = stop_worker(service)
        wait_until(lambda: has_died(pid), timeout=20)


def test_request_that_arrives_with_the_end_of_keep_alive_is_answered():
    """A worker that was kept from the processor finds both at once: the time is up, and a request is there."""
    with served("--keep-alive", "1") as service, connected(service) as client:
        use(client)
        [pid] = service.workers()
        os.kill(pid, signal.SIGSTOP)
        try:
            client.sendall(request("/late", "Connection: close"))
            time.sleep(1.5)  # what is tested is that this time goes by
        finally:
            os.kill(pid, signal.SIGCONT)
        assert all_of(client).endswith(b"GET /late")


def test_connection_of_an_idle_client_ends_with_its_keep_alive():
    with served("--keep-alive", "1") as service, connected(service) as client:
        use(client)
        assert all_of(client) == b""


def test_who_does_not_go_on_with_a_request_is_not_waited_for():
    worker = ("-k", "tests.serving.impatient_worker.Worker", "-c", "/dev/null", "--keep-alive", "1")
    with (
        start_gunicorn(*worker, app="tests.serving.worker_app") as service,
        connected(service) as fresh,
        connected(service) as head,
        connected(service) as body,
        connected(service) as used,
        connected(service) as waiting,
    ):
        waiting.sendall(request("/seconds", "Connection: close"))
        use(used)
        used.sendall(b"\r\n")
        head.sendall(request("/half")[:-2])
        body.sendall(request("/posted", "Content-Length: 10", method="POST") + b"half")
        for silent in (fresh, head, body, used):
            assert all_of(silent) == b""
        # Here the client waits.
        assert all_of(waiting).endswith(b"GET /seconds")


def test_without_keep_alive_the_answer_says_that_the_connection_ends():
    with served("--keep-alive", "0") as service, connected(service) as client:
        client.sendall(request("/once"))
        answer = all_of(client)
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.endswith(b"GET /once")


def test_requests_of_clients_that_do_not_come_back_count_for_max_requests():
    with served("--max-requests", "10") as service:
        first = service.workers()
        for _ in range(10):
            with connected(service) as client:
                use(client)
        wait_until(lambda: len(service.workers()) == 1 and service.workers() != first, 20, service.log)


def test_a_stream_that_does_not_end_keeps_no_worker_from_ending():
    """Where no signal ends the process."""
    arguments = ("--max-requests", "5", "--graceful-timeout", "2", "--timeout", "60")
    with served(*arguments) as service, connected(service) as stuck:
        [pid] = service.workers()
        stuck.sendall(request("/minute-stream"))
        assert stuck.recv(65536).startswith(b"HTTP/1.1 200 ")
        for _ in range(5):
            with connected(service) as client:
                use(client)
        wait_until(lambda: has_died(pid), 20, service.log)
