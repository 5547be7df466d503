"""A Connexion FlaskApp as a synchronous handler, on the calling thread.

A request for an operation that could be compiled is answered by that. Any other goes through Connexion's
middleware. This is written as coroutines, yet with the body in memory nothing in it waits, so they are run by
hand, without an event loop and without the thread pool of ten that Connexion's own bridge to Flask would
add. What may really suspend (middleware of the app's own, Swagger UI's files) runs on an event loop, but for
Flask: that has the calling thread to itself.
"""

import contextvars
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import connexion
from connexion.context import _receive
from connexion.middleware.exceptions import ExceptionMiddleware
from connexion.middleware.routing import RoutingMiddleware
from connexion.middleware.server_error import ServerErrorMiddleware
from starlette.formparsers import MultiPartParser

from swagger_server.serving import translate
from swagger_server.serving.compiling import compile_operations
from swagger_server.serving.error_handlers import ErrorHandlers, on_this_thread
from swagger_server.serving.event_loop import on_callers_thread, run_on_event_loop
from swagger_server.serving.exchange import Exchange, WholeBody
from swagger_server.serving.flask_side import as_response
from swagger_server.serving.large_bodies import Wants, spooled_operations
from swagger_server.serving.lifespan import Lifespan
from swagger_server.serving.messages import Request, Response
from swagger_server.serving.operation import Operation
from swagger_server.serving.security_functions import on_the_requests_thread
from swagger_server.serving.stepping import run_now
from swagger_server.serving.suspending import has_own_middleware, suspending_paths
from swagger_server.serving.translate import Scope

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Retry = Callable[[Request, Exception, int], bool]
"""Whether a request that raised is to be run again, after its first, second, ... attempt."""

WsgiApp = Callable[..., Iterable[bytes]]


def connexion_handler(
    app: connexion.FlaskApp,
    *,
    retry: Retry = lambda _request, _exc, _attempt: False,
    raise_errors: bool = False,
) -> "ConnexionHandler":
    """A handler that runs `app`; call it once all APIs, hooks and error handlers are added.

    Builds everything at once, so an invalid spec or a missing controller raises here and not on the
    first request. When the Flask app raises and `retry(request, exception, attempt)` is true, it is run
    again: nothing of the answer has been sent at that point. With `raise_errors` the handler raises what went
    wrong, instead of answering what the app's error handlers make of it.
    """
    return ConnexionHandler(app, retry, raise_errors)


def _mount_every_path(stack: Iterable[Any]) -> None:
    """Have Connexion find the operations of paths with a line feed in them, too.

    It would pass them on to Flask as none of its own, which has routes for them: unchecked, whoever calls.
    """
    for middleware in stack:
        if isinstance(middleware, RoutingMiddleware):
            for mount in middleware.router.routes:
                mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)


class ConnexionHandler:
    """A Connexion app as a handler."""

    def __init__(self, app: connexion.FlaskApp, retry: Retry, raise_errors: bool) -> None:
        middleware = app.middleware
        self._retry = retry
        self._errors = _take_error_handlers(middleware, raise_errors)
        self._suspends = suspending_paths(middleware)
        with on_the_requests_thread():
            built, stack = middleware._build_middleware_stack()
        _mount_every_path(stack)
        self._operations = compile_operations(app, stack)
        middleware.app.asgi_app = _FlaskEnd(
            middleware.app.asgi_app.app, retry, has_own_middleware(middleware)
        )
        middleware.app, middleware.middleware_stack = built, stack
        self._middleware = middleware
        self._flask_app = app.app
        self._lifespan = Lifespan(middleware)

    def start(self) -> None:
        """Enter the app's lifespan; swagger_server.serving.lifespan.LifespanFailed where that fails."""
        self._lifespan.start()

    def stop(self) -> None:
        """Leave it; raises the same."""
        self._lifespan.stop()

    @property
    def spools(self) -> Wants | None:
        """Which requests are for operations whose body is not to be kept in memory; None for no request at all."""
        return spooled_operations((_base_path(api), api.specification) for api in self._middleware.apis)

    def admit(self, request: Request) -> None:
        """Check what can be checked of a request before its body is read: who is calling, parameters, content type.

        Raises what the request is to be refused for. One that Connexion's middleware answers is not checked.
        """
        found = self._find(request)
        if found is not None:
            operation, path_values = found
            operation.admit(request, path_values)

    def __call__(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except Exception as exc:
            if self._errors is None:
                raise
            return self._errors.answer(request, exc)

    def _answer(self, request: Request) -> Response:
        found = self._find(request)
        if found is None or not found[0].takes(request):
            return self._pass_through(request)
        operation, path_values = found
        values = operation.check(request, path_values)
        return _until_done(lambda: operation.answer(request, path_values, values), request, self._retry)

    def _find(self, request: Request) -> tuple[Operation, dict[str, Any]] | None:
        request.scope["app"] = self._middleware
        request.app = self._flask_app
        if self._lifespan.state:
            request.scope["state"] = dict(self._lifespan.state)
        return self._operations.find(request.method, request.path_in_app)

    def _pass_through(self, request: Request) -> Response:
        assert request.environ  # made of the scope as it came: the middleware changes it
        exchange = Exchange(request)
        run = exchange.run(self._middleware)
        if self._suspends(request.scope) or _is_large_form(request):
            # What the middleware sets is this request's alone, on a thread that goes on to others.
            contextvars.copy_context().run(run_on_event_loop, run)
        else:
            run_now(run)
        return exchange.response()


def _base_path(api: Any) -> str:
    base: str = api.base_path if api.base_path is not None else api.specification.base_path
    return base.rstrip("/")


def _take_error_handlers(
    middleware: connexion.ConnexionMiddleware, raise_errors: bool
) -> ErrorHandlers | None:
    """Take the answering of exceptions out of the stack; None where nobody needs to do it here."""
    added = has_own_middleware(middleware)
    # The first would only answer what the error handlers raise, from another thread.
    taken = {ServerErrorMiddleware} if added else {ServerErrorMiddleware, ExceptionMiddleware}
    middleware.middlewares = [each for each in middleware.middlewares if each not in taken]
    if added:
        # Somebody's own middleware counts on exceptions being answered where they always are.
        middleware.error_handlers[:] = on_this_thread(middleware.error_handlers)
        return None
    return None if raise_errors else ErrorHandlers(middleware.error_handlers)


def _is_large_form(request: Request) -> bool:
    """Whether Connexion's parser would put an uploaded file on disk, which it does in another thread."""
    kind = request.header("content-type") or ""
    return kind.startswith("multipart/") and len(request.body) >= MultiPartParser.spool_max_size


def _until_done(run: Callable[[], Response], request: Request, retry: Retry) -> Response:
    attempt = 0
    while True:
        attempt += 1
        try:
            return run()
        except Exception as exc:
            if not retry(request, exc, attempt):
                raise


class _FlaskEnd:
    """The end of the stack: calls the Flask app (`app`) in place, with the body already read.

    `has_others`: whether there is more in the stack than Connexion's own middleware.
    """

    def __init__(self, app: WsgiApp, retry: Retry, has_others: bool) -> None:
        self.app = app
        self._retry = retry
        self._has_others = has_others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange.of(scope)
        request, spool = exchange.request, exchange.request.spool
        body = b""
        if spool is None:
            body = await _read(receive)
            _receive.set(WholeBody(body))  # for controllers that read it by Connexion's request

        def call() -> Response:
            environ = {**request.environ, "asgi.scope": scope}
            if spool is None:
                translate.set_body(environ, body)
            else:
                spool.rewind()
            return as_response(self.app, environ)

        response = await on_callers_thread(lambda: _until_done(call, request, self._retry))
        start = {"type": "http.response.start", "status": response.status}
        try:
            await send({**start, "headers": response.headers.raw()})
        except Exception:
            await on_callers_thread(response.close)  # nobody will see it
            raise
        whole = response.whole
        if whole is None and not exchange.started and self._ends(response):
            # Somebody on the way keeps it back until he has seen the body: to check it, say.
            whole = await on_callers_thread(lambda: _all_of(response))
        elif whole is None:
            # Other streams go around the middleware.
            exchange.flask_body, exchange.close = response.body, response.close
        await send({"type": "http.response.body", "body": whole or b""})

    def _ends(self, response: Response) -> bool:
        """Whether Connexion's own middleware would wait for the end, too, or it is known to come."""
        return not self._has_others or response.header("content-length") is not None


def _all_of(response: Response) -> bytes:
    try:
        return b"".join(response.body)
    finally:
        response.close()


async def _read(receive: Receive) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)
