"""The outermost layer: what every answer of the service gets, whoever made it, errors included.

Owns the order of the steps; each step is a module of its own. Knows the serving layer, the problems
and the settings; must not know Connexion, Flask, the database or what the API is about.
"""

from collections.abc import Callable, Collection, Iterable

from swagger_server import problems, request_id
from swagger_server.config import CorsSettings, ServerSettings
from swagger_server.edge import caching, compression
from swagger_server.edge.access import Access, Observe
from swagger_server.edge.caching import Caching
from swagger_server.edge.cors import Cors
from swagger_server.edge.forwarded import trust_proxies
from swagger_server.edge.limiting import Limiting
from swagger_server.problems import Problem
from swagger_server.serving import Handler, OutOfTime, Request, Response

AllowedMethods = Callable[[Request], Iterable[str]]
"""The methods that the request's path answers; none where there is nothing."""

Challenge = Callable[[Request], str | None]
"""How the operation that answered the request wants to be told who is calling; None where it does not ask."""

_NO_CREDENTIAL = "No authorization token provided"
"""What Connexion says where the request has none of those that the operation takes, keys included."""

_BODILESS = (204, 304)

_REQUEST_ID = request_id.HEADER.lower()


def with_edge(
    handler: Handler,
    cors: CorsSettings,
    server: ServerSettings,
    allowed_methods: AllowedMethods,
    challenge: Challenge = lambda _request: None,
    observe: Observe | None = None,
    exposed: Iterable[str] = (),
    same_origin: Collection[str] = (),
    limiting: Limiting | None = None,
    ways: Challenge = lambda _request: None,
    remedy: str | None = None,
    is_changing: Callable[[Request], bool] = lambda _request: False,
) -> Handler:
    """`handler` inside the outermost layer. The result never raises: what escapes becomes a problem.

    `observe` is called with every answer that has ended, and must not raise. `exposed` are the headers that web
    pages of other origins may read, beyond the edge's own. What is at the paths `same_origin` they may not read at
    all, whatever `cors` says. `limiting` refuses callers that ask for too much. `ways` is what a caller is told that
    has not said who it is, as `challenge` is for programs. `remedy` is what the log advises where the database lacks
    a table. `is_changing` tells whether what a request reads may have been written a moment ago.
    """
    decisions = Cors(cors, (*exposed, *limiting.headers) if limiting else exposed)
    lifetimes = Caching(server.cache_seconds, lambda request: challenge(request) is not None, is_changing)
    edge = _Edge(
        handler,
        decisions,
        lifetimes,
        server,
        allowed_methods,
        challenge,
        observe,
        same_origin,
        limiting,
        ways,
        remedy,
    )
    return edge.handle


class _Edge:
    def __init__(
        self,
        handler: Handler,
        cors: Cors,
        lifetimes: Caching,
        server: ServerSettings,
        allowed_methods: AllowedMethods,
        challenge: Challenge,
        observe: Observe | None,
        same_origin: Collection[str],
        limiting: Limiting | None,
        ways: Challenge,
        remedy: str | None,
    ) -> None:
        self._handler = handler
        self._cors = cors
        self._server = server
        self._caching = lifetimes
        self._challenge = challenge
        self._trust = trust_proxies(server.trusted_proxies)
        self._allowed_methods = allowed_methods
        self._observe = observe
        self._same_origin = frozenset(same_origin)
        self._limiting = limiting
        self._ways = ways
        self._remedy = remedy

    def handle(self, request: Request) -> Response:
        access = Access(request, self._observe)
        try:
            self._trust(request)
            response = self._respond(request)
        except Exception as exc:
            response = self._refuse(request, exc)
        if self._limiting is not None:
            self._limiting.settle(request, response)
        if request.more_headers is not None:
            for name, value in request.more_headers:
                response.headers.add(name, value)
        if request.path not in self._same_origin:
            self._cors.apply(request, access.method, response)
        _describe_request(request, response, access)
        _set_length(response)
        if access.method == "HEAD" or response.status in _BODILESS:
            _drop_body(response)
        return access.until_the_end(response)

    def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS" and (allowed := sorted(self._allowed_methods(request))):
            return Response(204, [("Allow", ", ".join(allowed))], [])
        if request.method == "HEAD":
            _make_get(request)
        response = self._handle(request)
        if response.status == 405:
            response.set_header("allow", ", ".join(sorted(self._allowed_methods(request))))
        elif response.status == 401 and response.header("www-authenticate") is None:
            # RFC 9110, section 15.5.2: no 401 without it.
            response.set_header("www-authenticate", self._challenge(request) or "Bearer")
        if request.method == "GET":
            self._spare(request, response)
        return response

    def _spare(self, request: Request, response: Response) -> None:
        """Send no more of an answer to a GET than its client needs."""
        self._caching.complete(request, response)
        compresses = compression.offer(request, response, self._server.gzip_min)
        if not caching.answer_not_modified(request, response) and compresses:
            compression.compress(response)

    def _handle(self, request: Request) -> Response:
        try:
            if self._limiting is not None:
                self._limiting.admit(request)
            if request.refusal is not None:
                raise request.refusal
            return self._handler(request)
        except Exception as exc:
            return self._refuse(request, exc)

    def _refuse(self, request: Request, raised: Exception) -> Response:
        exc = OutOfTime() if request.cancellation.is_cancelled else raised
        problem = problems.describe(exc, method=request.method, retry_after=self._server.retry_after)
        if problem.status == 401 and problem.detail == _NO_CREDENTIAL:
            problem.detail = self._ways(request) or problem.detail
        problems.report(exc, problem, self._remedy)
        try:
            return problems.answer(problem, request.path)
        except Exception as unspeakable:  # a member of the problem has no JSON form
            return self._refuse(request, unspeakable)


def _make_get(request: Request) -> None:
    """Have a HEAD answered as GET, so that every header is GET's; a part of a body is GET's alone."""
    request.set_method("GET")
    request.remove_headers("range", "if-range")


def _set_length(response: Response) -> None:
    whole = response.whole
    if whole is not None and response.status not in _BODILESS:
        response.headers.set("content-length", str(len(whole)))


def _drop_body(response: Response) -> None:
    try:
        response.drop_body()
    except Exception as exc:
        # Of a stream nobody reads: what its client is told is right all the same.
        problems.report(exc, Problem(500, "The answer could not be closed."))


def _describe_request(request: Request, response: Response, access: Access) -> None:
    timing = f"total;dur={access.seconds * 1000:.1f}"
    for name, value in request.timings.items():
        timing += f", {name};dur={value * 1000:.1f}"
    # The server sends its own, and an answer must not have two: Flask dates a file.
    response.headers.remove("date")
    response.headers.update(
        {
            _REQUEST_ID: access.request_id,
            # A browser must not take JSON, or a file, for anything but what it says it is.
            "x-content-type-options": "nosniff",
            "server-timing": timing,
        }
    )
