"""The request and the response as the serving layer passes them on, whatever protocol they came by."""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from time import monotonic
from typing import Any, cast

from swagger_server.serving import translate
from swagger_server.serving.spool import Spool
from swagger_server.serving.translate import Environ, Scope
from swagger_server.under_way import ENVIRON_KEY, UnderWay


class OutOfTime(Exception):
    """The request was cancelled because its time was up; what it was doing failed for that."""

    def __init__(self) -> None:
        super().__init__("The request took too long.")


class ServerBusy(Exception):
    """No thread was free for the request within `waited` seconds."""

    def __init__(self, waited: float) -> None:
        super().__init__(f"All threads of this worker were busy for {waited:.1f} s.")
        self.waited = waited


class Request(UnderWay):
    """A whole request. `scope` is ASGI's view of it and `environ` WSGI's; `body` is read already.

    `arrived` is by time.monotonic(). A body too large for memory is in `spool`, and `body` is empty. `time_allowed`
    is how many seconds there are for the answer, None where that is as for all others. `refusal` is what the serving
    layer found wrong before any handler ran (BodyTooLarge, ServerBusy): the handler turns it into an answer in the
    shape of its other errors.
    """

    __slots__ = (
        "_by_name",
        "_environ",
        "_operation",
        "arrived",
        "body",
        "path_in_app",
        "refusal",
        "root_path",
        "scope",
        "spool",
        "time_allowed",
    )

    path: str

    def __init__(
        self,
        scope: Scope,
        body: bytes = b"",
        refusal: Exception | None = None,
        environ: Environ | None = None,
    ) -> None:
        """Without an `environ` it is made of the scope when somebody asks for it."""
        super().__init__(scope["method"])
        self._take(scope)
        self.body = body
        self.refusal = refusal
        self.spool: Spool | None = None
        self.time_allowed: float | None = None
        self.arrived = monotonic()
        self._by_name: dict[str, str] | None = None
        self._operation: str | None = None
        self._environ = environ
        if environ is not None:
            environ[ENVIRON_KEY] = self

    @property
    def environ(self) -> Environ:
        """WSGI's view; of the scope as it is at the first look, where the server has given none."""
        if self._environ is None:
            self._environ = translate.environ_from_scope(self.scope, self.body)
            if self.spool is not None:
                translate.set_input(self._environ, self.spool.file, self.spool.size)
            self._environ[ENVIRON_KEY] = self
        return self._environ

    def take_spool(self, spool: Spool, time_allowed: float) -> None:
        """The body has come, and with it the whole request: it has `time_allowed` seconds from now."""
        self.spool = spool
        self.time_allowed = time_allowed
        self.arrived = monotonic()

    def drop_environ(self) -> None:
        """Let go of it: it refers to the request, and both would wait for the garbage collector."""
        self._environ = None

    def replace(self, environ: Environ, scope: Scope) -> None:
        """Have the request be what these two say."""
        environ[ENVIRON_KEY] = self
        self._environ, self._by_name = environ, None
        self._take(scope)

    def set_method(self, method: str) -> None:
        """Have the request handled as one of another method."""
        self.method = self.scope["method"] = method
        if self._environ is not None:
            self._environ["REQUEST_METHOD"] = method

    def _take(self, scope: Scope) -> None:
        self.scope = scope
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        self.path = path
        # Now: routers on the way make another root path of it.
        self.root_path = root
        """The path that the application is mounted at."""
        self.path_in_app = path.removeprefix(root) if root else path
        """The path below that."""

    def header(self, name: str) -> str | None:
        """One header by its lower-case name, or None; several of that name as one, with commas."""
        by_name = self._by_name
        if by_name is None:
            by_name = self._by_name = _joined(self.scope["headers"])
        return by_name.get(name)

    def set_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Have the request be one with these headers, before there is an environ."""
        self.scope["headers"], self._by_name = headers, None

    def remove_headers(self, *names: str) -> None:
        """Have the request handled as if it had no such headers; the names are in lower case."""
        self.set_headers(
            [pair for pair in self.scope["headers"] if pair[0].decode("latin-1").lower() not in names]
        )
        if self._environ is not None:
            for name in names:
                self._environ.pop(translate.environ_key(name), None)

    def route(self, base_path: str, operation: str) -> None:
        """Note the operation that it is for, in the scope, too, where Connexion's own parts look for it."""
        self._operation = operation
        extensions = self.scope.setdefault("extensions", {})
        extensions["connexion_routing"] = {"api_base_path": base_path, "operation_id": operation}

    @property
    def caller(self) -> Mapping[str, Any]:
        """What the security functions told of who is calling; nothing before they did, and where nobody was asked."""
        extensions = self.scope.get("extensions")
        context: Mapping[str, Any] | None = extensions.get("connexion_context") if extensions else None
        return context or {}

    @property
    def operation(self) -> str | None:
        """The operationId the request was routed to, known once it was handled."""
        if self._operation is not None:
            return self._operation
        extensions = self.scope.get("extensions")
        routing = extensions.get("connexion_routing") if extensions else None
        operation: str | None = routing.get("operation_id") if routing else None
        return operation


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name, repeated ones as one, as in an environ."""
    by_name: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        by_name[name] = f"{by_name[name]},{value}" if name in by_name else value
    return by_name


class Headers:
    """The headers of an answer, by their names in lower case, in the order in which they came."""

    __slots__ = ("_repeats", "_values")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str | list[str]] = {}
        self._repeats = False
        """Whether there may be several of one name."""
        values = self._values
        for name, value in pairs:
            name = name.lower()
            if name in values:
                self.add(name, value)
            else:
                values[name] = value

    def add(self, name: str, value: str) -> None:
        """Add a header, beside those of the same name, as Set-Cookie needs it."""
        name = name.lower()
        known = self._values.get(name)
        if known is None:
            self._values[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            self._values[name] = [known, value]
            self._repeats = True

    def set(self, name: str, value: str) -> None:
        """Set a header, whose name is in lower case, in the place of those of the same name."""
        self._values[name] = value

    def update(self, values: Mapping[str, str]) -> None:
        """Set several headers."""
        self._values.update(values)

    def get(self, name: str) -> str | None:
        """The first header of that name, which is in lower case, or None."""
        value = self._values.get(name)
        return value[0] if isinstance(value, list) else value

    def __contains__(self, name: str) -> bool:
        """Whether there is one of that name, which is in lower case."""
        return name in self._values

    def names(self) -> Collection[str]:
        """The names that there are."""
        return self._values.keys()

    def joined(self, name: str) -> str:
        """All headers of that name, which is in lower case, as one; empty if there is none."""
        value = self._values.get(name, "")
        return value if isinstance(value, str) else ", ".join(value)

    def raw(self) -> list[tuple[bytes, bytes]]:
        """As ASGI wants them."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self]

    def remove(self, name: str) -> None:
        """Remove those of that name, which is in lower case, if there are any."""
        self._values.pop(name, None)

    def keep(self, names: Container[str]) -> None:
        """Remove all but those of the `names`, which are in lower case."""
        self._values = {name: value for name, value in self._values.items() if name in names}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        if self._repeats:
            return self._each()
        return iter(cast("dict[str, str]", self._values).items())

    def _each(self) -> Iterator[tuple[str, str]]:
        for name, value in self._values.items():
            if isinstance(value, str):
                yield name, value
            else:
                yield from ((name, each) for each in value)


def _nothing() -> None:
    """There is nothing to close any more."""


class Response:
    """Status, headers and body. A list as `body` is whole; any other iterable is streamed as it comes.

    `close` must be called exactly once by whoever sends the response, sent to its end or not.
    """

    __slots__ = ("_body", "close", "headers", "status", "whole")

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[str, str]],
        body: Iterable[bytes],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.whole: bytes | None = None
        """The body as bytes, or None when it is a stream."""
        self.body = body
        self.close = close

    @property
    def body(self) -> Iterable[bytes]:
        return self._body

    @body.setter
    def body(self, body: Iterable[bytes]) -> None:
        self._body = body
        if not isinstance(body, list):
            self.whole = None
        else:
            self.whole = body[0] if len(body) == 1 else b"".join(body)

    def drop_body(self) -> None:
        """Send none of the body. A stream is closed now, where it was made, and not by whoever sends the rest."""
        is_stream, self.body = self.whole is None, []
        if is_stream:
            close, self.close = self.close, _nothing
            close()

    def header(self, name: str) -> str | None:
        """The first header of that name, which is in lower case, or None."""
        return self.headers.get(name)

    def set_header(self, name: str, value: str) -> None:
        """Set a header, whose name is in lower case, replacing those of the same name."""
        self.headers.set(name, value)

    def vary(self, name: str) -> None:
        """Say that the answer depends on the request header `name`."""
        known = self.headers.joined("vary")
        self.headers.set("vary", f"{known}, {name}" if known else name)

    def chunks(self) -> Iterator[bytes]:
        """The body's pieces, empty ones left out."""
        return (chunk for chunk in self.body if chunk)


Handler = Callable[[Request], Response]
"""Answers a request on the calling thread, however long that takes. What it raises becomes a bare 500."""
