"""Bodies too large for memory come whole or not at all, whichever worker class reads them."""

import asyncio
import hashlib
import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import connexion
import pytest
import requests

from swagger_server.app import create_app
from swagger_server.config import load_settings
from swagger_server.serving import (
    VALIDATORS,
    Application,
    LargeBodies,
    Request,
    Response,
    connexion_handler,
)
from swagger_server.serving.spool import Spool
from tests.serving.sides import Call, asgi_side, wsgi_side
from tests.serving.uploads import controllers
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until

UVICORNS = "uvicorn_worker.UvicornWorker"
ASGI = ["asgi", UVICORNS, OWN_WORKER]
WORKERS = ["sync", "gthread", "gevent", *ASGI]
SPEC = Path(__file__).parent / "uploads" / "openapi.yaml"
MAX_BODY = 20_000_000
LARGE = b"0123456789abcde\n" * 200_000  # 3.2 MB
KEY = {"X-API-Key": "right"}
CSV = {"Content-Type": "text/csv", **KEY}

Upload = Callable[..., tuple[int, str | None]]


class Service:
    """The uploads under one worker class."""

    def __init__(self, worker: str, running: Gunicorn, folder: Path) -> None:
        self.worker = worker
        self.running = running
        self.folder = folder
        (self.pid,) = running.workers()

    def put(self, body: Any, path: str = "/api/files/one", **headers: str) -> requests.Response:
        return requests.put(f"{self.running.url}{path}", body, headers={**CSV, **headers}, timeout=20)

    def runs(self) -> int:
        return int(requests.get(f"{self.running.url}/api/runs", timeout=20).json())

    def files(self) -> list[str]:
        """The temporary files that the worker has open."""
        return [path for path in map(str, _targets(self.pid)) if path.startswith(str(self.folder))]

    def peak_memory(self) -> int:
        """Bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        address = ("127.0.0.1", int(self.running.url.rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=20) as client:
            yield client


def _targets(pid: int) -> Iterator[Path]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield link.readlink()
        except OSError:
            continue


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Service]]:
    """All of them, started side by side: each loads Connexion."""
    with ExitStack() as stack:

        def start(worker: str, folder: Path) -> Service:
            env = {"BULK_FOLDER": str(folder), "BULK_MAX_BODY": str(MAX_BODY), "SERVER_MAX_BODY": "1000"}
            arguments = ("-k", worker, "-c", "/dev/null", "--threads", "4" if worker == "gthread" else "1")
            return Service(
                worker,
                stack.enter_context(start_gunicorn(*arguments, env=env, app="tests.serving.uploads.wsgi")),
                folder,
            )

        folders = [tmp_path_factory.mktemp("spool") for _ in WORKERS]  # not for threads
        with ThreadPoolExecutor(len(WORKERS)) as starters:
            started = list(starters.map(start, WORKERS, folders))
        yield {service.worker: service for service in started}


@pytest.fixture(params=WORKERS)
def service(request: pytest.FixtureRequest, services: Mapping[str, Service]) -> Service:
    return services[request.param]


def chunks(body: bytes, size: int = 100_000) -> Iterator[bytes]:
    """Makes the client send chunks."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("body", [b"one line", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("send", [bytes, chunks], ids=["announced", "in chunks"])
def test_a_body_arrives_whole_and_nothing_is_left_of_it(
    service: Service, body: bytes, send: Callable[[bytes], Any]
):
    answer = service.put(send(body), "/api/files/two?copies=2")
    assert answer.json() == {
        "copies": 2,
        "type": "text/csv",
        "length": len(body),
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert service.files() == []


def test_json_lines_are_not_taken_for_json(service: Service):
    answer = service.put(b'{"a": 1}\n{"a": 2}\n', **{"Content-Type": "application/x-ndjson; charset=utf-8"})
    assert answer.json()["size"] == 18


def test_the_connection_goes_on_after_a_large_body(service: Service):
    with requests.Session() as session:
        for _ in range(2):
            answer = session.put(f"{service.running.url}/api/files/one", LARGE, headers=CSV, timeout=20)
            assert answer.json()["size"] == len(LARGE)


def test_other_operations_keep_to_their_own_limit(service: Service):
    small = {"Content-Type": "application/json"}
    assert service.put(b'{"a": 1}', "/api/files/small", **small).json() == {"members": 1}
    refused = service.put(json.dumps({"a": "x" * 1000}).encode(), "/api/files/small", **small)
    assert_problem(refused, 413)


def assert_problem(answer: requests.Response, status: int) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_what_is_larger_than_the_maximum_is_refused(service: Service):
    runs = service.runs()
    head = f"PUT /api/files/one HTTP/1.1\r\nHost: x\r\nX-API-Key: right\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    with service.connected() as client:
        client.sendall(head.encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 413 ")
    assert service.runs() == runs


def test_a_full_disk_is_a_problem_to_come_back_with_later(service: Service):
    runs = service.runs()
    answer = service.put(b"x" * 9_000_000)
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"] == "1"
    assert "Traceback" not in service.running.log()
    assert (service.runs(), service.files()) == (runs, [])


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"X-API-Key": "wrong"}, "/api/files/one", 401),
        ({}, "/api/files/one?copies=4", 400),
        ({"Content-Type": "text/html"}, "/api/files/one", 415),
    ],
)
def test_what_the_spec_refuses_is_refused(service: Service, headers: dict[str, str], path: str, status: int):
    runs = service.runs()
    assert_problem(service.put(LARGE, path, **headers), status)
    assert (service.runs(), service.files()) == (runs, [])


def test_no_body_where_one_is_required_is_refused(service: Service):
    assert_problem(service.put(b""), 400)


def head_of(*lines: str) -> bytes:
    return "\r\n".join(
        ["PUT /api/files/one HTTP/1.1", "Host: x", "Content-Type: text/csv", *lines, "", ""]
    ).encode()


EXPECTING = ("Expect: 100-continue", f"Content-Length: {len(LARGE)}")


def test_a_client_that_asks_first_is_told_to_go_on(service: Service):
    with service.connected() as client:
        client.sendall(head_of("X-API-Key: right", "Connection: close", *EXPECTING))
        assert client.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(LARGE)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("worker", ASGI)
def test_a_client_that_asks_first_is_refused_before_it_sends(services: Mapping[str, Service], worker: str):
    # Under WSGI the server has told it to go on before the application hears of it.
    with services[worker].connected() as client:
        client.sendall(head_of("X-API-Key: wrong", *EXPECTING))
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()


@pytest.mark.parametrize("announcing", [f"Content-Length: {len(LARGE)}", "Transfer-Encoding: chunked"])
def test_a_client_that_goes_away_half_way_leaves_nothing_behind(service: Service, announcing: str):
    runs = service.runs()
    with service.connected() as client:
        piece = LARGE[:1_000_000]
        in_chunks = "chunked" in announcing
        client.sendall(head_of("X-API-Key: right", announcing) + (b"f4240\r\n" if in_chunks else b"") + piece)
        wait_until(service.files, explain=lambda: "no file was made")
        # It has no name: what is killed now leaves nothing behind either.
        assert list(service.folder.iterdir()) == []
    wait_until(lambda: not service.files(), explain=lambda: f"left: {service.files()}")
    assert service.runs() == runs


@pytest.mark.parametrize("worker", ["gevent", *ASGI])
def test_a_caller_has_so_many_uploads_at_once(services: Mapping[str, Service], worker: str):
    service = services[worker]
    with ExitStack() as others:
        for number in range(1, 5):
            client = others.enter_context(service.connected())
            client.sendall(head_of("X-API-Key: right", f"Content-Length: {len(LARGE)}") + LARGE[:1_000_000])
            wait_until(lambda number=number: len(service.files()) == number)  # type: ignore[misc]
        with service.connected() as client:
            client.sendall(head_of("X-API-Key: right", "Connection: close", *EXPECTING))
            refused = b"".join(iter(lambda: client.recv(65_536), b""))
        assert len(service.files()) == 4
        # Another caller's are not counted with them.
        assert service.put(LARGE, **{"X-API-Key": "bobs"}).ok
    # Under WSGI the server has told the client to go on before the application hears of it.
    assert refused.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 429 ")
    assert b"\r\nretry-after: 1\r\n" in refused.lower()
    wait_until(lambda: not service.files(), explain=lambda: f"left: {service.files()}")
    assert service.put(LARGE).ok


def test_a_body_in_no_chunks_is_refused(service: Service):
    with service.connected() as client:
        client.sendall(head_of("X-API-Key: right", "Transfer-Encoding: chunked") + b"no number\r\nabc\r\n")
        answer = client.recv(65_536)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    wait_until(lambda: not service.files(), explain=lambda: f"left: {service.files()}")


HIDDEN = b"GET /api/runs HTTP/1.1\r\nHost: x\r\n\r\n"
"""A body that is a request, for whoever takes it for one."""

IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
FRAMINGS = {f"Content-Length: {len(HIDDEN)}": HIDDEN, "Transfer-Encoding: chunked": IN_CHUNKS}
KINDS = {"/api/files/one": "text/csv", "/api/files/small": "application/json"}


def statuses_for(service: Service, head: bytes, body: bytes, at_once: bool) -> list[bytes]:
    """Of all answers until the server closes the connection, or has answered one more request, which asks for it."""
    last = b"GET /api/runs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = b""
    with service.connected() as client:
        with suppress(ConnectionError):  # the answer may have ended it
            for piece in [head + body] if at_once else [head, body]:
                client.sendall(piece)
                service.runs()  # it has been read when this is answered
            client.sendall(last)
        with suppress(ConnectionError):
            while piece := client.recv(65_536):
                received += piece
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", received)


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in two packets"])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
@pytest.mark.parametrize("worker", [UVICORNS, OWN_WORKER])
def test_a_body_is_no_other_protocol_and_no_other_request(
    services: Mapping[str, Service], worker: str, protocol: str, path: str, framing: str, at_once: bool
):
    service = services[worker]
    runs = service.runs()
    lines = ("X-API-Key: right", framing, "Connection: Upgrade", f"Upgrade: {protocol}")
    head = (
        head_of(*lines).replace(b"/api/files/one", path.encode()).replace(b"text/csv", KINDS[path].encode())
    )
    statuses = statuses_for(service, head, FRAMINGS[framing], at_once)
    if worker == UVICORNS:
        # It does not hand over the body.
        assert statuses == [b"400"]
        assert service.runs() == runs
    else:
        is_stored = path == "/api/files/one"
        assert statuses[0] == (b"200" if is_stored else b"400")
        assert service.runs() == runs + is_stored
        assert statuses[1:] == [b"200"]


@pytest.mark.parametrize(
    ("status", "key", "length"), [(401, "wrong", len(HIDDEN)), (413, "right", MAX_BODY + 1)]
)
def test_a_body_that_uvicorn_does_not_read_is_no_other_request(
    services: Mapping[str, Service], status: int, key: str, length: int
):
    lines = (f"X-API-Key: {key}", f"Content-Length: {length}", "Connection: Upgrade", "Upgrade: h2c")
    statuses = statuses_for(services[UVICORNS], head_of(*lines), HIDDEN, at_once=False)
    assert statuses == [b"%d" % status]


def test_memory_does_not_grow_with_the_body(service: Service):
    for _ in range(12):  # by then each thread has what it takes for one
        service.put(LARGE)
    before = service.peak_memory()
    larger = LARGE * 2 + LARGE[: len(LARGE) // 2]
    assert service.put(larger).ok
    assert service.peak_memory() - before < (len(larger) - len(LARGE)) * 3 // 4


# The same in this process, where an attempt can be made to fail, and an app to be one that is not compiled.


@pytest.fixture(params=["compiled", "by Connexion"])
def application(request: pytest.FixtureRequest) -> Application:
    app = connexion.FlaskApp("uploads", specification_dir=SPEC.parent)
    app.add_api(SPEC.name, validator_map=VALIDATORS, validate_responses=request.param != "compiled")
    handler = connexion_handler(app, retry=lambda _request, exc, _attempt: isinstance(exc, LookupError))
    assert handler.spools is not None
    return Application(handler, large_bodies=LargeBodies(handler.spools, handler.admit, MAX_BODY))


@pytest.mark.parametrize("way", ["wsgi", "asgi"])
@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_an_attempt_after_a_failed_one_reads_the_body_from_its_beginning(
    application: Application, way: str, kind: str
):
    controllers.fails[:] = [LookupError("once"), LookupError("twice")]
    call = Call("PUT", "/api/files/one", (("Content-Type", kind), *KEY.items()), LARGE)
    with asyncio.Runner() as runner:
        side = wsgi_side(application) if way == "wsgi" else asgi_side(application, runner)
        answer = json.loads(side(call).body)
    assert (answer["size"], answer["sha256"]) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert controllers.fails == []


@pytest.mark.parametrize("way", ["wsgi", "asgi"])
@pytest.mark.parametrize(("others", "own", "is_ended"), [(0.0, 0.2, True), (0.2, 30.0, False)])
def test_such_a_request_has_a_deadline_of_its_own(way: str, others: float, own: float, is_ended: bool):
    def handler(request: Request) -> Response:
        ended = threading.Event()
        request.cancellation.add(ended.set)
        return Response(200, [], [b"ended" if ended.wait(10 if is_ended else 0.5) else b"not ended"])

    large = LargeBodies(lambda _method, _path: True, lambda _request: None, MAX_BODY, own)
    application = Application(handler, deadline=others, large_bodies=large)
    with asyncio.Runner() as runner:
        side = wsgi_side(application) if way == "wsgi" else asgi_side(application, runner)
        answer = side(Call("PUT", "/", (), LARGE))
    assert answer.body == (b"ended" if is_ended else b"not ended")


def test_an_app_without_such_operations_looks_for_none():
    app = connexion.FlaskApp("plain", specification_dir=SPEC.parents[1] / "gallery")
    app.add_api("secured.yaml", validator_map=VALIDATORS)
    assert connexion_handler(app).spools is None


class _Trickle:
    """A body that never ends, one piece every hundredth of a second."""

    def __init__(self) -> None:
        self.pieces = 0

    def read(self, _size: int) -> bytes:
        threading.Event().wait(0.01)
        self.pieces += 1
        return b"piece"

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        self.pieces += 1
        return {"type": "http.request", "body": b"piece", "more_body": True}


@pytest.mark.parametrize("way", ["wsgi", "asgi"])
def test_a_body_has_a_time_in_which_all_of_it_is_to_come(way: str):
    large = LargeBodies(lambda _method, _path: True, lambda _request: None, MAX_BODY, seconds=0.2)
    request, body = Request({"type": "http", "method": "PUT", "path": "/", "headers": []}), _Trickle()
    if way == "wsgi":
        large.read(request, body)  # type: ignore[arg-type]
    else:
        assert asyncio.run(large.receive(request, body.receive))
    assert str(request.refusal) == "Not all of the request body came within 0.2 s."
    assert 2 <= body.pieces <= 20
    assert request.spool is None


def test_a_worker_has_so_many_bodies_at_once_until_they_are_answered():
    large = LargeBodies(lambda _method, _path: True, lambda _request: None, MAX_BODY, most=2)

    def read() -> Request:
        request = Request({"type": "http", "method": "PUT", "path": "/", "headers": []})
        large.read(request, io.BytesIO(LARGE))
        return request

    first, second, third = read(), read(), read()
    assert (first.refusal, second.refusal) == (None, None)
    assert str(third.refusal) == "There are too many uploads at once."
    assert first.spool is not None
    first.spool.close()
    assert read().refusal is None


RATES = {
    "LIMITS_WRITES_PER_ADDRESS": "6/day",
    "LIMITS_WRITES_PER_KEY": "4/day",
    "LIMITS_FAILED_AUTHENTICATIONS": "2/day",
}


@pytest.fixture(params=["wsgi", "asgi"])
def limited(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upload]:
    """The uploads as a service that limits its callers, behind a proxy."""
    for name, value in {**RATES, "SERVER_TRUSTED_PROXIES": "1", "SERVER_METRICS": "no"}.items():
        monkeypatch.setenv(name, value)
    controllers.looked_up.clear()
    application = create_app(load_settings(), {}, spec=SPEC)
    with asyncio.Runner() as runner:
        side = wsgi_side(application) if request.param == "wsgi" else asgi_side(application, runner)

        def upload(key: str, address: str, length: int = 100_000) -> tuple[int, str | None]:
            """The status, and what is left of the rates."""
            headers = (("Content-Type", "text/csv"), ("X-API-Key", key), ("X-Forwarded-For", address))
            answer = side(Call("PUT", "/api/files/one", headers, b"x" * length))
            told = answer.header("ratelimit")
            return answer.status, told and re.sub(";t=[0-9]+", "", told)

        yield upload


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Spool]:
    """The bodies that were begun to be read."""
    spools: list[Spool] = []

    class Noted(Spool):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            spools.append(self)

    monkeypatch.setattr("swagger_server.serving.large_bodies.Spool", Noted)
    return spools


def test_who_asks_for_too_much_is_refused_before_the_body_and_counted_once(
    limited: Upload, begun: list[Spool]
):
    of_key = [limited("right", "192.0.2.1") for _ in range(5)]
    assert of_key == [
        *((200, f'"address-writes";r={5 - done}, "key-writes";r={3 - done}') for done in range(4)),
        (429, '"address-writes";r=1, "key-writes";r=0'),
    ]
    assert len(begun) == 4
    of_address = [limited("bobs", "192.0.2.1") for _ in range(2)]
    assert of_address == [(200, '"address-writes";r=0, "key-writes";r=3'), (429, '"address-writes";r=0')]
    assert len(begun) == 5
    assert limited("bobs", "192.0.2.2")[0] == 200


def test_who_has_sent_too_many_wrong_keys_is_refused_before_the_key_is_looked_up(
    limited: Upload, begun: list[Spool]
):
    guesses = [limited("guessed", "192.0.2.3") for _ in range(4)]
    assert [status for status, _ in guesses] == [401, 401, 429, 429]
    assert limited("right", "192.0.2.3") == (429, '"address-writes";r=1, "address-failures";r=0')
    assert controllers.looked_up == ["guessed", "guessed"]
    assert begun == []
    assert limited("right", "192.0.2.4")[0] == 200
