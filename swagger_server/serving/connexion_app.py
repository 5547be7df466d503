"""A Connexion FlaskApp as a synchronous handler: its middleware, then Flask, on the calling thread.

Connexion's middleware is written as coroutines, yet with the body in memory nothing in it waits, so
they are run by hand, without an event loop and without the thread pool of ten that Connexion's own
bridge to Flask would add. What really suspends (async security handlers, Swagger UI's files) gets an
event loop for that one request.
"""

import asyncio
import inspect
import itertools
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import Any

import connexion
from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from connexion.middleware.exceptions import ExceptionMiddleware
from connexion.middleware.server_error import ServerErrorMiddleware
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser

from swagger_server.serving import translate
from swagger_server.serving.messages import Handler, Request, Response, Scope
from swagger_server.serving.suspending import suspending_paths

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ErrorHandler = Callable[[ConnexionRequest, Exception], Any]
Retry = Callable[[Request, Exception, int], bool]
"""Whether a request that raised is to be run again, after its first, second, ... attempt."""

WsgiApp = Callable[..., Iterable[bytes]]

_BODILESS = (204, 304)
_WHOLE_UP_TO = 1_048_576
"""Bytes up to which an answer of known length is passed on as one piece; a larger file is streamed."""

_EXCHANGE = "swagger_server.exchange"
"""The scope's extension under which Flask's end of the stack finds the request it works for."""


def connexion_handler(
    app: connexion.FlaskApp, *, retry: Retry = lambda _request, _exc, _attempt: False
) -> Handler:
    """A handler that runs `app`; call it once all APIs and error handlers are added.

    Builds the middleware at once, so an invalid spec or a missing controller raises here and not on the
    first request. When the Flask app raises and `retry(request, exception, attempt)` is true, it is run
    again: nothing of the answer has been sent at that point. What an error handler raises, the returned
    handler raises.
    """
    middleware = app.middleware
    # It would only answer what the error handlers raise, from another thread.
    middleware.middlewares = [m for m in middleware.middlewares if m is not ServerErrorMiddleware]
    middleware.error_handlers[:] = _error_handlers(middleware.error_handlers)
    flask_end = middleware.app
    flask_end.asgi_app = _FlaskEnd(flask_end.asgi_app.app, retry)
    suspends = suspending_paths(middleware.apis)
    middleware.app, middleware.middleware_stack = middleware._build_middleware_stack()

    def handle(request: Request) -> Response:
        exchange = _Exchange(request)
        run = exchange.run(middleware)
        if suspends(request.scope) or _is_large_form(request):
            _run_on_event_loop(run)
        else:
            _run_without_event_loop(run)
        return exchange.response()

    return handle


def _is_large_form(request: Request) -> bool:
    """Whether Connexion's parser would put an uploaded file on disk, which it does in another thread."""
    kind = request.header("content-type") or ""
    return kind.startswith("multipart/") and len(request.body) >= MultiPartParser.spool_max_size


class _Exchange:
    """One request on its way through the middleware, and what came back."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.flask_body: Iterable[bytes] | None = None
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._sent: list[bytes] = []
        self._body_given = False

    async def run(self, app: Callable[..., Awaitable[None]]) -> None:
        scope = self.request.scope
        scope.setdefault("extensions", {})[_EXCHANGE] = self
        await app(scope, self.receive, self.send)

    async def receive(self) -> MutableMapping[str, Any]:
        if self._body_given:
            return {"type": "http.disconnect"}
        self._body_given = True
        return {"type": "http.request", "body": self.request.body, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"]]
        else:
            self._sent.append(message.get("body", b""))

    def response(self) -> Response:
        body = self.flask_body
        if body is None:
            return Response(self._status, self._headers, self._sent)
        close = getattr(body, "close", lambda: None)
        return Response(self._status, self._headers, body, close)


class _FlaskEnd:
    """The end of the stack: calls the Flask app (`app`) in place, with the body already read."""

    def __init__(self, app: WsgiApp, retry: Retry) -> None:
        self.app = app
        self._retry = retry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange: _Exchange = scope["extensions"][_EXCHANGE]
        body = await _read(receive)
        started, result = self._call_until_done(exchange, scope, body)
        status, headers = started
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await self._pass_on(exchange, status, _size(headers), result, send)

    def _call_until_done(
        self, exchange: _Exchange, scope: Scope, body: bytes
    ) -> tuple[tuple[int, list[tuple[str, str]]], Iterable[bytes]]:
        for attempt in itertools.count(1):
            try:
                return self._call(exchange, scope, body)
            except Exception as exc:
                if not self._retry(exchange.request, exc, attempt):
                    raise
        raise AssertionError("unreachable")

    def _call(
        self, exchange: _Exchange, scope: Scope, body: bytes
    ) -> tuple[tuple[int, list[tuple[str, str]]], Iterable[bytes]]:
        environ = dict(exchange.request.environ)
        environ["asgi.scope"] = scope
        translate.set_body(environ, body)
        started: list[tuple[int, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            started[:] = [(int(status.split(" ", 1)[0]), headers)]

        result = self.app(environ, start_response)
        return started[0], result

    @staticmethod
    async def _pass_on(
        exchange: _Exchange, status: int, size: int | None, result: Iterable[bytes], send: Send
    ) -> None:
        # Whole answers travel through the middleware (which may check them); streams go around it.
        body = b""
        if status in _BODILESS or (size is not None and size <= _WHOLE_UP_TO):
            try:
                body = b"".join(result)
            finally:
                getattr(result, "close", lambda: None)()
        else:
            exchange.flask_body = result
        await send({"type": "http.response.body", "body": body})


def _size(headers: list[tuple[str, str]]) -> int | None:
    """The Content-Length, which Flask sets on every answer that it has whole."""
    return next((int(value) for name, value in headers if name.lower() == "content-length"), None)


async def _read(receive: Receive) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _run_without_event_loop(run: Coroutine[Any, Any, None]) -> None:
    try:
        run.send(None)
    except StopIteration:
        return
    run.close()
    raise RuntimeError(
        "a coroutine of the middleware waits for an event loop that this request was not given"
    )


def _run_on_event_loop(run: Coroutine[Any, Any, None]) -> None:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        # Greenlets share one thread, and a thread runs one event loop at a time: take a real thread.
        import gevent

        gevent.get_hub().threadpool.apply(asyncio.run, (run,))
    else:
        asyncio.run(run)


def _error_handlers(registered: list[tuple[Any, ErrorHandler]]) -> list[tuple[Any, ErrorHandler]]:
    """The app's error handlers, and Connexion's own for what the app leaves to it, all as coroutines."""
    handlers = {**_CONNEXION_ERROR_HANDLERS, **dict(registered)}
    return [(kind, _on_this_thread(handler)) for kind, handler in handlers.items()]


_CONNEXION_ERROR_HANDLERS: dict[Any, ErrorHandler] = {
    HTTPException: ExceptionMiddleware.http_exception.__wrapped__,
    ProblemException: ExceptionMiddleware.problem_handler,
    Exception: ExceptionMiddleware.common_error_handler,
}


def _on_this_thread(handler: ErrorHandler) -> ErrorHandler:
    """A synchronous error handler as a coroutine, or Connexion would hand it to another thread."""
    if inspect.iscoroutinefunction(handler):
        return handler

    async def call(request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
        return handler(request, exc)

    return call
