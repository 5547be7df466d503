"""The worker writes whole answers itself: what a client sees is what uvicorn's own way would send."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.serving.worker_app import LARGE
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until

PATHS = [
    "/",
    "/a%20b?c=d",
    "/empty",
    "/full-304",
    "/short",
    "/control",
    "/stream",
    "/split",
    "/closing",
    "/large",
]

UVICORNS = "uvicorn_worker.UvicornWorker"


@contextmanager
def served(worker: str) -> Iterator[Gunicorn]:
    # Without gunicorn.conf.py, which is for services with a database.
    with start_gunicorn("-k", worker, "-c", "/dev/null", app="tests.serving.worker_app") as service:
        yield service


@pytest.fixture(scope="module")
def service() -> Iterator[Gunicorn]:
    with served(OWN_WORKER) as running:
        yield running


@pytest.fixture(scope="module")
def uvicorns() -> Iterator[Gunicorn]:
    with served(UVICORNS) as running:
        yield running


@contextmanager
def connected(service: Gunicorn) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), timeout=20) as client:
        yield client


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: api.example", *headers, "", ""]
    return "\r\n".join(lines).encode()


def all_of(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    pieces = iter(lambda: client.recv(65536), b"")
    return b"".join(pieces)


def exchange(service: Gunicorn, *sent: bytes) -> bytes:
    """What comes back for requests that are sent at once, the last of which asks to close the connection."""
    with connected(service) as client:
        client.sendall(b"".join(sent))
        return all_of(client)


def comparable(answer: bytes) -> list[bytes]:
    """The answer's lines without the server's name and the time; how a header's name is written does not count."""
    lines = re.sub(rb"(?im)^(server|date): .*\r\n", b"", answer).split(b"\r\n")
    return sorted(line.lower() for line in lines)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_answers_are_uvicorns(service: Gunicorn, uvicorns: Gunicorn, path: str, method: str, version: str):
    asked = request(path, "Connection: close", method=method, version=version)
    answer, expected = exchange(service, asked), exchange(uvicorns, asked)
    assert comparable(answer) == comparable(expected)
    assert b"x-injected: b" not in comparable(answer)


def test_an_answer_has_its_length_and_the_time_and_keeps_the_connection(service: Gunicorn):
    with connected(service) as client:
        for _ in range(3):
            client.sendall(request("/again"))
            head, body = client.recv(65536).split(b"\r\n\r\n")
            assert body == b"GET /again"
            assert re.search(rb"(?m)^date: \w{3}, \d\d \w{3} \d{4} [0-9:]{8} GMT\r?$", head)
            assert b"\r\ncontent-length: 10\r\n" in head + b"\r\n"
            assert b"connection" not in head


def test_pipelined_requests_are_answered_in_their_order(service: Gunicorn):
    paths = [f"/{number}" for number in range(20)]
    answer = exchange(service, *map(request, paths), request("/last", "Connection: close"))
    assert re.findall(rb"GET (/\w+?)(?=HTTP|$)", answer) == [path.encode() for path in [*paths, "/last"]]


def test_a_client_that_reads_slowly_gets_everything(service: Gunicorn):
    with connected(service) as client:
        client.sendall(request("/large") * 8 + request("/large", "Connection: close"))
        requests.get(f"{service.url}/meanwhile", timeout=20)
        answer = all_of(client)
    assert answer.count(LARGE) == 9


def send_in_turns(service: Gunicorn, client: socket.socket, *pieces: bytes) -> None:
    """Each piece is read before the next one is sent: the answer to another request, sent later, tells."""
    for piece in pieces:
        client.sendall(piece)
        requests.get(f"{service.url}/", timeout=20)


def test_a_head_without_end_is_refused(service: Gunicorn):
    with connected(service) as client:
        send_in_turns(service, client, request("/")[:-2], *[b"X-A: %s\r\n" % (b"a" * 33_000)] * 2)
        assert all_of(client).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request("/" + "a" * 4093), b"200 OK"),
        (request("/" + "a" * 4094), b"414 URI Too Long"),
        (request("/?" + "a" * 4093), b"414 URI Too Long"),
        (request("/", *[f"X-{number}: a" for number in range(98)]), b"200 OK"),
        (request("/", *[f"X-{number}: a" for number in range(100)]), b"431 Request Header Fields Too Large"),
        (request("/", f"X-A: {'a' * 8187}"), b"200 OK"),
        (request("/", f"X-A: {'a' * 8188}"), b"431 Request Header Fields Too Large"),
    ],
)
def test_gunicorns_limits_of_a_head_hold(service: Gunicorn, head: bytes, status: bytes):
    closing = head[:-2] + b"Connection: close\r\n\r\n"
    assert exchange(service, closing).startswith(b"HTTP/1.1 %s\r\n" % status)
    with connected(service) as client:
        # In pieces, none of which is too large.
        send_in_turns(service, client, closing[:1500], closing[1500:4200], closing[4200:])
        assert all_of(client).startswith(b"HTTP/1.1 %s\r\n" % status)


def test_trailers_are_no_headers_and_have_an_end(service: Gunicorn):
    lines = ("Transfer-Encoding: chunked", "X-Mine: head", "Connection: close")
    post = request("/headers", *lines, method="POST") + b"1\r\na\r\n0\r\n"
    answer = exchange(service, post + b"X-Mine: trailer\r\nX-Other: trailer\r\n\r\n")
    assert b"x-mine: head" in answer
    assert b"trailer" not in answer
    with connected(service) as client:
        send_in_turns(service, client, post, *[b"X-A: %s\r\n" % (b"a" * 33_000)] * 2)
        assert all_of(client) == b""


def test_a_large_body_before_the_beginning_of_another_request_is_no_long_head(service: Gunicorn):
    body = b"a" * 200_000
    post = request("/posted", f"Content-Length: {len(body)}", method="POST")
    with connected(service) as client:
        client.sendall(post + body + request("/next", "Connection: close")[:-2])
        requests.get(f"{service.url}/", timeout=20)
        client.sendall(b"\r\n")
        answer = all_of(client)
    assert re.findall(rb"(?:GET|POST) /\w+?(?=HTTP|$)", answer) == [b"POST /posted", b"GET /next"]


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
HIDDEN = b"GET /hidden HTTP/1.1\r\n\r\n"


def with_upgrade() -> bytes:
    """Requests that ask for another protocol, of all kinds, and one at their end that does not."""
    chunk = b"%x\r\n%s\r\n0\r\nX-Mine: trailer\r\n\r\n" % (len(HIDDEN), HIDDEN)
    return b"".join(
        [
            request("/one", *UPGRADE),
            request("/body", *UPGRADE, f"Content-Length: {len(HIDDEN)}", method="POST") + HIDDEN,
            request("/two", "Connection: upgrade", "Upgrade: websocket", "Content-Length: 0", method="PUT"),
            request("/body", "Transfer-Encoding: chunked", *UPGRADE, method="POST") + chunk,
            request("/headers", "X-Mine: head", *UPGRADE, "X-Empty:"),
            request("/last", "Connection: close"),
        ]
    )


BODIES = [b"GET /one", HIDDEN, b"PUT /two", HIDDEN, None, b"GET /last"]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_upgrade_is_ignored_and_the_rest_of_the_request_is_not(service: Gunicorn, size: int):
    sent = with_upgrade()
    with connected(service) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), size):
            client.sendall(sent[start : start + size])
        answer = all_of(client)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == len(BODIES)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies[:4] + bodies[5:] == BODIES[:4] + BODIES[5:]
    headers = bodies[4].split(b"\n")
    assert {b"x-mine: head", b"x-empty: ", b"host: api.example"} <= set(headers)
    assert not any(line.startswith(b"upgrade") for line in headers)


def test_an_upgrade_keeps_the_limits_of_a_head_and_the_version(service: Gunicorn):
    for version in ("1.0", "1.1"):
        answer = exchange(
            service, request("/", *UPGRADE, version=version) + request("/", "Connection: close")
        )
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == (1 if version == "1.0" else 2)
    long = request("/", *UPGRADE[1:], "Connection: upgrade, close", f"X-A: {'a' * 8188}")
    assert exchange(service, long).startswith(b"HTTP/1.1 431 ")


def test_nothing_is_a_request_after_connect(service: Gunicorn):
    hidden = request("/hidden", "Connection: close")
    connect = request("http://api.example/one", f"Content-Length: {len(hidden)}", method="CONNECT")
    answer = exchange(service, connect, hidden)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"hidden" not in answer


@pytest.mark.parametrize(
    "refused",
    [
        b"no request\r\n\r\n",
        request("/", *[f"X-{number}: a" for number in range(150)]),
        request("/body", "Transfer-Encoding: chunked", method="POST") + b"no chunk\r\n",
        request("/body", "Transfer-Encoding: chunked", method="POST")
        + b"0\r\n"
        + b"X-A: %s\r\n" % (b"a" * 33_000) * 2,
    ],
)
def test_what_is_refused_takes_no_answer_from_those_before_it(service: Gunicorn, refused: bytes):
    long = request("/body", "Content-Length: 4", method="POST") + b"body and more than said"
    assert exchange(service, long).endswith(b"\r\n\r\nbody")
    answer = exchange(service, request("/second"), request("/third"), refused, request("/hidden"))
    assert re.findall(rb"(?:GET|POST) /\w+?(?=HTTP|$)", answer) == [b"GET /second", b"GET /third"]
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answer.count(b"\r\nconnection: close\r\n") == 1


def test_many_requests_that_wait_for_no_thread_are_answered_in_their_order(service: Gunicorn):
    lives = request("/live") * 2000
    answer = exchange(service, request("/second"), lives, request("/last", "Connection: close"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2002
    assert answer.index(b"GET /second") < answer.index(b"GET /live")
    assert answer.endswith(b"GET /last")


def test_a_request_under_way_is_answered_before_the_worker_ends():
    with served(OWN_WORKER) as service, connected(service) as client:
        client.sendall(request("/second"))
        requests.get(f"{service.url}/", timeout=20)
        service.send(signal.SIGTERM)
        assert b"GET /second" in all_of(client)
        assert service.wait() == 0


def said(service: Gunicorn, path: str) -> str:
    return requests.get(f"{service.url}{path}", timeout=20).text


def test_a_client_that_goes_away_is_noticed_though_another_request_of_its_waits(service: Gunicorn):
    with connected(service) as client:
        client.sendall(request("/until-cancelled") + request("/next"))
        said(service, "/")
    wait_until(lambda: said(service, "/was-cancelled") == "True")


@pytest.mark.parametrize("worker", [OWN_WORKER, "gthread"])
def test_a_stream_whose_headers_cannot_be_sent_is_closed(worker: str):
    with served(worker) as service:
        answer = exchange(service, request("/unwritable-stream", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 500 ")
        wait_until(lambda: said(service, "/was-closed") == "True")


@pytest.mark.parametrize("worker", [OWN_WORKER, "asgi"])
def test_a_request_that_exits_ends_itself_alone(worker: str):
    with served(worker) as service:
        workers = service.workers()
        with connected(service) as client:
            client.sendall(request("/second", "Connection: close"))
            for path in ("/exit", "/exit-in-stream", "/exit-at-close"):
                exchange(service, request(path, "Connection: close"))
            assert b"GET /second" in all_of(client)
        assert service.workers() == workers
        assert service.log().count("SystemExit: 3") >= 3


@pytest.mark.parametrize("path", ["/minute", "/minute-stream"])
def test_sigint_to_the_master_alone_ends_the_worker_at_once(path: str):
    with served(OWN_WORKER) as service, connected(service) as client:
        client.sendall(request(path))
        requests.get(f"{service.url}/", timeout=20)
        service.send(signal.SIGINT)
        service.wait(15)  # gunicorn's own patience is 30 s
        service.wait_until_alone()
