"""One request, run by each side: Connexion's own ASGI stack, and this project's WSGI and ASGI ways.

Owns what a server would do: making an environ or a scope of a request, and collecting the answer. Paths
are decoded as gunicorn and uvicorn do, so that requests no client library would send can be made.
"""

import asyncio
import contextvars
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from swagger_server.serving import Application
from tests.serving.gallery.record import recording

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Call:
    """A request as a client sends it: `target` is what stands in the request line."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    root_path: str = ""
    chunked: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def all_headers(self) -> Headers:
        return [("host", "api.example:8080"), *self._length, *((n.lower(), v) for n, v in self.headers)]

    @property
    def _length(self) -> Headers:
        if self.chunked:
            return [("transfer-encoding", "chunked")]
        has_length = self.body or self.method in ("POST", "PUT", "PATCH")
        return [("content-length", str(len(self.body)))] if has_length else []

    def __str__(self) -> str:
        return (
            f"{self.method} {self.target[:80]} {dict(self.headers) or ''} {self.body[:60].decode('latin-1')}"
        )


@dataclass
class Answer:
    """What came back, and what happened meanwhile (`events`). `broken`: the body ended in an exception."""

    status: int
    headers: Headers
    body: bytes
    broken: bool = False
    events: list[Any] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


Side = Callable[[Call], Answer]


def asgi_side(app: Any, runner: asyncio.Runner) -> Side:
    """Requests to an ASGI application, in a loop that stays."""

    def ask(call: Call) -> Answer:
        with recording() as events:
            answer = runner.run(_ask_asgi(app, call), context=contextvars.copy_context())
        answer.events = events
        return answer

    return ask


def wsgi_side(app: Application) -> Side:
    """Requests to a WSGI application, on this thread."""

    def ask(call: Call) -> Answer:
        with recording() as events:
            answer = _ask_wsgi(app, call)
        answer.events = events
        return answer

    return ask


async def _ask_asgi(app: Any, call: Call) -> Answer:
    messages = _body_messages(call)
    gone = asyncio.Event()
    answer = Answer(0, [], b"")

    async def receive() -> Any:
        message = next(messages, None)
        if message is None:
            await gone.wait()
            return {"type": "http.disconnect"}
        return message

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [
                (k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in message["headers"]
            ]
        else:
            answer.body += message.get("body", b"")

    try:
        await app(_scope(call), receive, send)
    except Exception:
        _break_off(answer)
    return answer


def _break_off(answer: Answer) -> None:
    """What a server does when the application raises: it cuts the answer short, or makes one."""
    if answer.status:
        answer.broken = True
    else:
        answer.status, answer.headers, answer.body = (
            500,
            [("content-type", "text/plain")],
            b"Internal Server Error",
        )


def _body_messages(call: Call) -> Iterator[Any]:
    """The body in two pieces where it has two bytes, as it may come from a network."""
    half = len(call.body) // 2
    for piece in (call.body[:half], call.body[half:]) if half else ():
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": b"" if half else call.body, "more_body": False}


def _scope(call: Call) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": call.root_path + unquote(call.path),
        "raw_path": (call.root_path + call.path).encode("latin-1"),
        "query_string": call.query.encode("latin-1"),
        "root_path": call.root_path,
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in call.all_headers],
        "client": ("192.0.2.7", 4321),
        "server": ("192.0.2.1", 8080),
        "state": {},
    }


def _ask_wsgi(app: Application, call: Call) -> Answer:
    answer = Answer(0, [], b"")

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> None:
        answer.status = int(status.split(" ", 1)[0])
        answer.headers = [(name.lower(), value) for name, value in headers]

    body = app(_environ(call), start_response)
    try:
        for piece in body:
            answer.body += piece
    except Exception:
        answer.broken = True
    finally:
        body.close()
    return answer


def _environ(call: Call) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": call.root_path,
        "PATH_INFO": unquote_to_bytes(call.path).decode("latin-1"),
        "QUERY_STRING": call.query,
        "RAW_URI": call.target,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "192.0.2.1",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4321",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(call.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in call.all_headers:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
