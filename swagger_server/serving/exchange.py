"""One request on its way through an ASGI application that runs on the calling thread."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from swagger_server.serving.messages import Request, Response
from swagger_server.serving.spool import Spool
from swagger_server.serving.translate import Scope

_KEY = "swagger_server.exchange"
"""The scope's extension under which the far end of the stack finds the request it works for."""

_PIECE = 262_144
"""Bytes of a file that are given at a time."""


class WholeBody:
    """ASGI's receive of a request whose body is there."""

    __slots__ = ("_body", "_given")

    def __init__(self, body: bytes = b"") -> None:
        self._body = body
        self._given = False

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._given:
            return {"type": "http.disconnect"}
        self._given = True
        return {"type": "http.request", "body": self._body, "more_body": False}


class Exchange:
    """Gives an application the request, whose body has come, and keeps what it answers."""

    __slots__ = (
        "_body_given",
        "_headers",
        "_position",
        "_sent",
        "_status",
        "close",
        "error",
        "flask_body",
        "request",
        "started",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.flask_body: Iterable[bytes] | None = None
        """What Flask streams, around the application."""
        self.close: Callable[[], None] = lambda: None
        self.error: Exception | None = None
        self.started = False
        """Whether the beginning of the answer has come."""
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._sent: list[bytes] = []
        self._body_given = False
        self._position = 0

    @classmethod
    def of(cls, scope: Scope) -> "Exchange":
        """The exchange that a scope belongs to."""
        exchange: Exchange = scope["extensions"][_KEY]
        return exchange

    async def run(self, app: Callable[..., Awaitable[None]]) -> None:
        """Call an ASGI application."""
        scope = self.request.scope
        scope.setdefault("extensions", {})[_KEY] = self
        await app(scope, self.receive, self.send)

    async def receive(self) -> MutableMapping[str, Any]:
        """ASGI's receive: all of the body at once, or, where it is in a file, piece by piece."""
        if self._body_given:
            return {"type": "http.disconnect"}
        self._body_given = True
        if self.request.spool is None:
            return {"type": "http.request", "body": self.request.body, "more_body": False}
        return self._piece_of(self.request.spool)

    def _piece_of(self, spool: Spool) -> MutableMapping[str, Any]:
        if not self._position:
            spool.rewind()
        piece = spool.file.read(_PIECE)
        self._position += len(piece)
        more = self._position < spool.size
        self._body_given = not more
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """ASGI's send."""
        if message["type"] == "http.response.start":
            self.started = True
            self._status = message["status"]
            self._headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"]]
        else:
            self._sent.append(message.get("body", b""))

    def response(self) -> Response:
        """What was answered."""
        if self.flask_body is None:
            return Response(self._status, self._headers, self._sent)
        return Response(self._status, self._headers, self.flask_body, self.close)
