"""The outermost layer: what every answer of the service gets, whoever made it, errors included.

Owns the order of the steps; each step is a module of its own. Knows the serving layer, the problems
and the settings; must not know Connexion, Flask, the database or what the API is about.
"""

import logging
import time
from collections.abc import Callable, Iterable

from swagger_server import problems, request_id
from swagger_server.config import CorsSettings, ServerSettings
from swagger_server.edge import caching, compression
from swagger_server.edge.caching import Caching
from swagger_server.edge.cors import Cors
from swagger_server.edge.forwarded import trust_proxies
from swagger_server.serving import Handler, OutOfTime, Request, Response

access_log = logging.getLogger("swagger_server.access")

AllowedMethods = Callable[[Request], Iterable[str]]
"""The methods that the request's path answers; none where there is nothing."""


def with_edge(
    handler: Handler, cors: CorsSettings, server: ServerSettings, allowed_methods: AllowedMethods
) -> Handler:
    """`handler` inside the outermost layer. The result never raises: what escapes becomes a 500."""
    edge = _Edge(handler, cors, server, allowed_methods)
    return edge.handle


class _Edge:
    def __init__(
        self, handler: Handler, cors: CorsSettings, server: ServerSettings, allowed_methods: AllowedMethods
    ) -> None:
        self._handler = handler
        self._cors = Cors(cors)
        self._server = server
        self._caching = Caching(server.cache_seconds)
        self._trust = trust_proxies(server.trusted_proxies)
        self._allowed_methods = allowed_methods

    def handle(self, request: Request) -> Response:
        started = time.perf_counter()
        request_id.current.set(request_id.taken_or_made(request.header("x-request-id")))
        self._trust(request)
        method = request.method
        response = self._respond(request, method)
        self._cors.apply(request, method, response)
        _describe_request(request, response, time.perf_counter() - started)
        return _logged(request, method, response, started)

    def _respond(self, request: Request, method: str) -> Response:
        if method == "OPTIONS" and (allowed := sorted(self._allowed_methods(request))):
            return Response(204, [("Allow", ", ".join(allowed))], [])
        if method == "HEAD":
            # Answered as GET, so that every header is GET's; only the body stays here.
            request.set_method("GET")
        response = self._handle(request)
        if response.status == 405:
            response.set_header("Allow", ", ".join(sorted(self._allowed_methods(request))))
        if request.method == "GET":
            self._caching.complete(request, response)
            compressible = compression.offer(response, self._server.gzip_min)
            if not caching.answer_not_modified(request, response) and compressible:
                compression.compress(request, response)
        return _without_body(response) if method == "HEAD" else response

    def _handle(self, request: Request) -> Response:
        try:
            if request.refusal is not None:
                raise request.refusal
            return self._handler(request)
        except Exception as raised:
            exc = OutOfTime() if request.cancellation.is_cancelled else raised
            problem = problems.describe(exc, method=request.method, retry_after=self._server.retry_after)
            problems.report(exc, problem)
            return problems.answer(problem, request.path)


def _without_body(response: Response) -> Response:
    whole = response.whole
    if whole is not None and response.header("content-length") is None and response.status not in (204, 304):
        response.set_header("Content-Length", str(len(whole)))
    return Response(response.status, response.headers, [], response.close)


def _describe_request(request: Request, response: Response, seconds: float) -> None:
    response.set_header(request_id.HEADER, request_id.current.get())
    # A browser must not take JSON, or a file, for anything but what it says it is.
    response.set_header("X-Content-Type-Options", "nosniff")
    parts = {"total": seconds, **request.timings}
    response.set_header(
        "Server-Timing", ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in parts.items())
    )


def _logged(request: Request, method: str, response: Response, started: float) -> Response:
    """The response, with its line in the log: at once, or for a stream when it has ended."""
    if response.whole is not None:
        _log(request, method, response.status, started)
        return response
    close, current = response.close, request_id.current.get()

    def close_and_log() -> None:
        request_id.current.set(current)
        close()
        _log(request, method, response.status, started)

    response.close = close_and_log
    return response


def _log(request: Request, method: str, status: int, started: float) -> None:
    if not access_log.isEnabledFor(logging.INFO):
        return
    fields = {
        "request_id": request_id.current.get(),
        "method": method,
        "path": request.path,
        "operation": request.operation,
        "status": status,
        "ms": round((time.perf_counter() - started) * 1000, 1),
        "pool_ms": round(request.timings.get("pool", 0.0) * 1000, 1),
        "sql_ms": round(request.timings.get("sql", 0.0) * 1000, 1),
    }
    access_log.info("%s %s %s", method, request.path, status, extra=fields)
