"""The gunicorn worker for `Application`: uvicorn's, with a shorter way for what most requests are.

    gunicorn -k swagger_server.serving.worker.Worker MODULE

Owns how a request without a body gets from uvicorn's parser to a thread, and its whole answer back into the socket,
without a task and without ASGI's messages. Everything else, and every other application, goes uvicorn's own way:
bodies, streams, clients that read slowly. Parsing and keeping connections are uvicorn's, stopping is `stopping`'s.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast

import httptools
from gunicorn.arbiter import Arbiter
from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle
from uvicorn_worker import UvicornWorker

from swagger_server.serving.application import Application, bodiless_request, may_have_body
from swagger_server.serving.job import RequestJob
from swagger_server.serving.messages import Request, Response
from swagger_server.serving.stopping import StoppingProtocol, StoppingServer
from swagger_server.serving.translate import Scope

log = logging.getLogger(__name__)

LONGEST_HEAD = 65_536
"""Bytes of a request that may come without any of its body: of its line and headers, or behind its body."""

_TOO_LONG = b"414 URI Too Long"
_TOO_LARGE = b"431 Request Header Fields Too Large"

_BODILESS = (204, 304)

_Answer = tuple[Response, bytes | None]
"""A response, and status line and headers as they are sent; None where ASGI's messages must do it."""


class Protocol(StoppingProtocol):
    """uvicorn's HTTP/1.1 on one connection."""

    _is_open = False
    """A request has begun, and not all of it has come."""
    _has_headers = False
    _steps = 0
    """Counts what happens to the request; bytes that make nothing happen are `_idle`."""
    _idle = 0

    # gunicorn's limits of a request's head; 0: none but `LONGEST_HEAD`.
    longest_line = 0
    """Bytes of the address in the request line, without the method."""
    most_fields = 0
    largest_field = 0
    """Bytes of a header's name and value."""
    _has_long_head = False
    """So much has come at once, or in several pieces, that a field may be too large."""
    _refusal: bytes | None = None
    """Why the head that has come is refused."""
    _asks_for_upgrade = False
    """The head that has come asks for another protocol; it is parsed again, as if it did not."""
    _method = _version = b""
    """Of that head."""

    _under_way: RequestResponseCycle | None = None
    """The request that is answered; `cycle` is the last one that has come, which may wait for it."""

    def connection_lost(self, exc: Exception | None) -> None:
        cycle = self._under_way
        if cycle is not None and not cycle.response_complete:
            # The base class tells the last request alone.
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # the last answer was the last one of this connection
        self._has_long_head = len(data) > self.largest_field or self._is_open
        steps = self._steps
        self._parse(data)
        if self._steps != steps:
            self._idle = 0
        elif self._is_open:
            self._idle += len(data)
            if self._idle > LONGEST_HEAD and not self.transport.is_closing():
                self._refuse_rest()

    def _parse(self, data: bytes) -> None:
        """As the base class does it, but for an Upgrade, which is ignored, as RFC 9110 (7.8) allows.

        The parser stops at one: the request's body would be lost, or be taken for another request.
        """
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        try:
            while rest:
                try:
                    self.parser.feed_data(rest)
                    return
                except httptools.HttpParserUpgrade as stopped:
                    if not self._asks_for_upgrade:
                        return  # CONNECT: what follows is for nobody
                    self._asks_for_upgrade = False
                    rest = rest[stopped.args[0] :]
                    self._parse_head_again()
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")

    def _parse_head_again(self) -> None:
        """The head that has come, without its Upgrade."""
        lines = [b"%s %s HTTP/%s" % (self._method, self.url, self._version)]
        lines += [b"%s: %s" % pair for pair in self.headers if pair[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the base class
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def end_with(self, cycle: RequestResponseCycle) -> None:
        self._under_way = cycle
        super().end_with(cycle)
        if cycle.scope["method"] == "CONNECT":
            # Of what comes next nobody could tell whether it is a request.
            cycle.keep_alive = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_open, self._has_headers = True, False
        self._steps += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after the body (trailers) is no header: nobody has checked it, and nobody expects it.
        if not self._has_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._has_headers = True
        self._steps += 1
        self._refusal = self._fault_of_head()
        if self._refusal is not None:
            raise _HeadTooLarge
        if self.parser.should_upgrade():
            self._method, self._version = self.parser.get_method(), self.parser.get_http_version().encode()
            self._asks_for_upgrade = self._method != b"CONNECT"
            if self._asks_for_upgrade:
                return
        super().on_headers_complete()

    def _fault_of_head(self) -> bytes | None:
        headers, largest = self.headers, self.largest_field
        if self.longest_line and len(self.url) > self.longest_line:
            return _TOO_LONG
        if self.most_fields and len(headers) > self.most_fields:
            return _TOO_LARGE
        if (
            self._has_long_head
            and largest
            and any(len(name) + len(value) > largest for name, value in headers)
        ):
            return _TOO_LARGE
        return None

    def send_400_response(self, msg: str) -> None:
        if self._answers_others():
            self._end_after_those()
        elif self._refusal is None:
            super().send_400_response(msg)
        else:
            self._refuse_head(self._refusal)

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._asks_for_upgrade:
            return
        self._is_open = False
        self._steps += 1
        super().on_message_complete()

    def is_idle(self) -> bool:
        return not self._is_open and super().is_idle()

    def steps(self) -> int | None:
        cycle = self._under_way
        is_waited_for = cycle is None or cycle.response_complete or cycle.more_body
        return self._steps if is_waited_for and not self.flow.read_paused else None

    def _answers_others(self) -> bool:
        """Whether a request is under way that came whole, before what is refused: its answer comes first."""
        cycle = self._under_way
        return cycle is not None and not cycle.more_body and not cycle.response_complete

    def _end_after_those(self) -> None:
        """Theirs are the last answers: one that tells of the refusal might be taken for one of them."""
        if self.cycle.more_body:
            self.pipeline.popleft()  # it came in part
        last = self.pipeline[0][0] if self.pipeline else self._under_way
        assert last is not None
        last.keep_alive = False
        self._is_open = False
        self.parser = cast(httptools.HttpRequestParser, _Deaf())

    def _refuse_rest(self) -> None:
        if self._answers_others():
            self._end_after_those()
        elif self._has_headers:
            self.transport.close()
        else:
            self._refuse_head(_TOO_LARGE)

    def _refuse_head(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope = cast(Scope, cycle.scope)
        if isinstance(app, Application) and not may_have_body(scope):
            self.end_with(cycle)
            app.begin(_Job(app, bodiless_request(scope), cycle, self))
        else:
            super()._start_asgi_task(cycle, app)

    def send_by_asgi(self, cycle: RequestResponseCycle, send: Callable[..., Awaitable[None]]) -> None:
        """Have `send`, a coroutine function of ASGI's three arguments, answer the request."""
        super()._start_asgi_task(cycle, send)


class _Deaf:
    """In the place of a parser: what comes is for nobody."""

    def feed_data(self, _data: Any) -> None:
        """Nothing comes of it."""


class _HeadTooLarge(Exception):
    """Ends the parsing."""


class _Job(RequestJob[_Answer]):
    """A request whose whole answer is written in one piece."""

    __slots__ = ("_application", "_cycle", "_protocol")

    def __init__(
        self, application: Application, request: Request, cycle: RequestResponseCycle, protocol: Protocol
    ) -> None:
        super().__init__(application.answer, request, cycle.receive)
        self._application = application
        self._cycle = cycle
        self._protocol = protocol

    def call(self) -> _Answer:
        response = self.answer()
        # By the server's own scope: the application may have taken a HEAD for a GET.
        return response, _head(response, self._cycle.scope["method"])

    def returned(self, value: _Answer) -> None:
        response, head = value
        cycle = self._cycle
        if head is None or cycle.flow.write_paused:
            self._send_by_asgi(response)
            return
        try:
            if not cycle.disconnected and not cycle.transport.is_closing():
                self._write(response, head)
        finally:
            self.forget_client()
            self.close(response)

    def broke(self, error: BaseException) -> None:
        log.error("the answer to %s could not be sent", self.request.path, exc_info=error)
        self._send_by_asgi(Response(500, [("content-length", "0")], [b""]))

    def discard(self, value: _Answer) -> None:
        self.close(value[0])

    def _write(self, response: Response, head: bytes) -> None:
        """What `RequestResponseCycle.send` does with the two messages of a whole answer."""
        cycle = self._cycle
        parts = [head]
        for name, value in cycle.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        if cycle.scope["method"] != "HEAD":
            parts.append(response.whole or b"")
        cycle.transport.write(b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        # As run_asgi leaves it: the cycle and its connection must not keep each other alive.
        tell, cycle.on_response = cycle.on_response, _nothing
        tell()

    def _send_by_asgi(self, response: Response) -> None:
        async def send(_scope: Any, _receive: Any, send: Any) -> None:
            try:
                await self._application.send(response, self, send)
            finally:
                self.forget_client()

        self._protocol.send_by_asgi(self._cycle, send)


def _nothing() -> None:
    """Nobody waits for the end of the answer any more."""


def _head(response: Response, method: str) -> bytes | None:
    """Status line and headers, without the empty line at their end.

    None for an answer that is no whole one, that says itself how it is to be sent, or that has something which must
    not be written as it is: ASGI's way deals with that.
    """
    headers, status, whole = response.headers, response.status, response.whole
    if whole is None or status < 200 or headers.get("connection") or headers.get("transfer-encoding"):
        return None
    if method != "HEAD":
        length = headers.get("content-length")
        if status in _BODILESS:
            if whole:
                return None
        elif length is None:
            headers.set("content-length", str(len(whole)))
        elif length != str(len(whole)):
            return None
    if not _good_names.issuperset(headers.names()) and not all(map(_is_good, headers.names())):
        return None
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    text = "".join(lines).encode("latin-1")
    # Of the characters that are in no header there are the two that end each line, and no more.
    if len(text) - len(text.translate(None, _CONTROLS)) != 2 * len(lines):
        return None
    return STATUS_LINE[status] + text


_CONTROLS = bytes({*range(32), 127} - {ord("\t")})

_good_names: set[str] = set()


def _is_good(name: str) -> bool:
    """Whether uvicorn would take it for the name of a header; remembered, since there are few."""
    if not name or HEADER_RE.search(name.encode("latin-1")):
        return False
    if len(_good_names) < 1000:
        _good_names.add(name)
    return True


class Worker(UvicornWorker):  # type: ignore[misc]  # it has no types
    """gunicorn's worker class."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        # By name, so that a missing wheel is an error and not a slower service.
        "loop": "uvloop",
        "http": Protocol,
        "interface": "asgi3",
        "ws": "none",
        # An application that cannot start ends gunicorn instead of being started again and again.
        "lifespan": "on",
        # The application writes its own line for each request, and decides itself which proxies to believe.
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }

    async def _serve(self) -> None:
        # As the base class's, but for how it stops, and for SIGQUIT, by which gunicorn's master ends its workers at
        # once when it gets SIGINT: the base class takes note of it and goes on serving until it is killed.
        self.config.app = self.wsgi
        self.config.http = _limited_by(self.cfg)
        server = StoppingServer(
            self.config,
            graceful=self.cfg.graceful_timeout,
            notify=self.notify,
            owns_port=self.cfg.reuse_port,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, _end_at_once, server)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        if server.server_state.tasks:
            # They had their time. asyncio would wait for them to end, and Python for their threads.
            os._exit(0)


def _limited_by(cfg: Any) -> type[Protocol]:
    """The protocol with gunicorn's limits: --limit-request-line, -fields and -field_size."""
    limits = {
        "longest_line": cfg.limit_request_line,
        "most_fields": cfg.limit_request_fields,
        "largest_field": cfg.limit_request_field_size,
    }
    return type(Protocol.__name__, (Protocol,), limits)


def _end_at_once(server: StoppingServer) -> None:
    server.should_exit = server.force_exit = True
