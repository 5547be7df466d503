"""One application object for both protocols, so that every gunicorn worker class can load it.

Owns reading the body, the one thread hop under ASGI, sending, and the start and stop of a worker.
Every server calls differently: WSGI workers with (environ, start_response), ASGI ones with
(scope, receive, send), and uvicorn, which takes a plain callable for ASGI 2, with (scope) alone.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

from swagger_server import under_way
from swagger_server.serving import translate
from swagger_server.serving.body_faults import (
    ANNOUNCING,
    BodyIncomplete,
    BodyStalled,
    BodyTooLarge,
    announced_length,
    is_incomplete,
    may_be_lost,
)
from swagger_server.serving.deadlines import Deadlines
from swagger_server.serving.job import Client, Receive, RequestJob
from swagger_server.serving.large_bodies import LargeBodies
from swagger_server.serving.messages import Handler, Request, Response
from swagger_server.serving.reasons import status_line
from swagger_server.serving.stalls import Stalls, transport_of
from swagger_server.serving.stream import Stream
from swagger_server.serving.threads import RequestThreads
from swagger_server.serving.translate import Environ, Scope

log = logging.getLogger(__name__)

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_LINGER = 4_194_304
"""Bytes by which a body may exceed the limit and still be read from: who is in the midst of sending it may not see
the answer otherwise. For a larger one nobody waits."""

_APART = 2
"""Threads for what must not wait for a request's."""


class Application:
    """A WSGI and ASGI application in front of a synchronous handler.

    `threads` is how many requests an ASGI worker runs at once; one that has waited for a thread for
    more than `max_wait` seconds reaches the handler with `refusal` set to ServerBusy, and one whose
    body is longer than `max_body` bytes with BodyTooLarge. `large_bodies` are those that this does not hold for: they
    are not kept in memory. A request that is not answered within
    `deadline` seconds (0: no limit) of its arrival has its work cancelled, and a client that takes nothing of a stream
    for `patience` seconds (0: no limit) is cut off. `immediate` answers the paths that must not
    wait for a thread (it must not block), `apart` are those that have two threads of their own, so that they are
    answered while all others are taken. `on_start` and `on_stop` run once in each worker process:
    by the lifespan events of ASGI servers, or by `start()` and `stop()`, which whoever loads the
    application under WSGI calls. So do the handler's own `start` and `stop`, if it has any.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        threads: int = 20,
        max_wait: float = 5.0,
        deadline: float = 0.0,
        patience: float = 0.0,
        max_body: int = 1_048_576,
        large_bodies: LargeBodies | None = None,
        immediate: Mapping[str, Handler] | None = None,
        apart: Collection[str] = (),
        on_start: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.handler = handler
        self._threads = threads
        self._max_wait = max_wait
        self._deadlines = Deadlines(deadline)
        self._stalls = Stalls(patience)
        self._max_body = max_body
        self._large_bodies = large_bodies
        self._immediate = dict(immediate or {})
        self._apart = frozenset(apart)
        self._special = self._apart.union(self._immediate)
        self._on_start = on_start
        self._on_stop = on_stop
        self._request_threads: RequestThreads | None = None
        self._threads_apart: RequestThreads | None = None
        self._stream_executor: ThreadPoolExecutor | None = None

    def __call__(self, *args: Any) -> Any:
        if len(args) == 3:
            return self.asgi(*args)
        if len(args) == 2:
            return self.wsgi(*args)
        if len(args) == 1:
            return functools.partial(self.asgi, *args)
        # uvicorn calls with nothing to find out whether this is a factory
        raise TypeError(
            f"expected (environ, start_response) or (scope, receive, send), got {len(args)} arguments"
        )

    def start(self) -> None:
        """Make this process ready for requests; raises what `on_start` and the handler's own start raise."""
        self._on_start()
        self._tell_handler("start")

    def stop(self) -> None:
        """Give back what `start` took. Requests under way should have ended."""
        try:
            self._tell_handler("stop")
        finally:
            self._on_stop()

    def _tell_handler(self, event: str) -> None:
        getattr(self.handler, event, lambda: None)()

    # WSGI

    def wsgi(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer on the calling thread."""
        response = self.answer(self._read_wsgi(environ))
        if response.whole is not None:
            under_way.current.set(None)  # the thread goes on to other requests in this context
        try:
            start_response(status_line(response.status), list(response.headers))
        except BaseException:
            _Body(response).close()  # the server has not got it, and has nothing to close
            raise
        if response.whole is not None:
            return _Body(response)
        return _Body(response, self._stalls.begin(environ.get("gunicorn.socket")))

    def _read_wsgi(self, environ: Environ) -> Request:
        body, refusal = b"", None
        if _has_body(environ):
            large = self._large_bodies
            if large is not None and large.wants(environ["REQUEST_METHOD"], translate.path_in_app(environ)):
                return self._read_large(environ, large)
            announced = int(environ.get("CONTENT_LENGTH") or 0)
            if announced <= self._max_body + _LINGER:
                body = environ["wsgi.input"].read(self._max_body + 1)
            refusal = self._refusal(body, announced)
        if refusal is not None:
            body = b""
        translate.set_body(environ, body)
        return Request(translate.scope_from_environ(environ), body, refusal, environ)

    def _read_large(self, environ: Environ, large: LargeBodies) -> Request:
        request = Request(translate.scope_from_environ(environ), environ=environ)
        self._admit(request)
        if request.refusal is None:
            large.read(request, environ["wsgi.input"])
        if request.spool is None:
            translate.set_body(environ, b"")
        else:
            translate.set_input(environ, request.spool.file, request.spool.size)
        # With the length as it is known now.
        request.replace(environ, translate.scope_from_environ(environ))
        return request

    def _admit(self, request: Request) -> Response:
        """Have a request looked at whose body is large, and not read yet; the answer is that it is to be sent."""
        assert self._large_bodies is not None
        under_way.current.set(request)
        self._deadlines.begin(request)
        try:
            self._large_bodies.admit(request)
        finally:
            self._deadlines.end(request)
            request.drop_environ()
        return Response(100, [], [])

    def _refusal(self, body: bytes, announced: int) -> Exception | None:
        if max(len(body), announced) > self._max_body:
            return BodyTooLarge(self._max_body)
        if len(body) < announced:
            # The client went away in the middle: what has come must not be taken for all of it.
            return BodyIncomplete()
        return None

    def answer(self, request: Request) -> Response:
        """What the handler answers, or a bare 500; called on the thread that has the request."""
        handler = self._immediate.get(request.path, self.handler)
        if request.spool is not None:
            handler = _closing_the_spool(handler)
        under_way.current.set(request)
        self._deadlines.begin(request)
        try:
            return handler(request)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return Response(500, [("Content-Type", "text/plain")], [b"Internal Server Error"])
        finally:
            self._deadlines.end(request)
            request.drop_environ()

    # ASGI

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer on one of the threads; the event loop only reads and sends. WebSockets are refused."""
        if scope["type"] == "http":
            await self._asgi_http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def _asgi_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await self._read_asgi(scope, receive)
        if request is None:
            return
        job = _AwaitedJob(self.answer, request, receive)
        try:
            response = await self._response(job)
            if _holds_body_back(request) or may_be_lost(scope["headers"]):
                # Of what its client sends next nobody could tell whether it is the body or another request.
                response.set_header("connection", "close")
            await self.send(response, job, send)
        finally:
            job.forget_client()

    async def _read_asgi(self, scope: Scope, receive: Receive) -> Request | None:
        if not may_have_body(scope):
            return bodiless_request(scope)
        scope = _in_memory(scope)
        large = self._large_bodies
        if large is not None and large.wants(scope["method"], _path_in_app(scope)):
            return await self._receive_large(scope, receive, large)
        body: bytes | None = b""
        announced = announced_length(scope["headers"])
        if announced <= self._max_body + _LINGER:
            body = await self._read_body(receive)
        if body is None:
            return None
        refusal = self._refusal(body, announced)
        if refusal is None and is_incomplete(scope["headers"], len(body)):
            refusal = BodyIncomplete()
        body = b"" if refusal else body
        scope["headers"] = _with_length(scope["headers"], len(body))
        return Request(scope, body, refusal)

    async def _receive_large(self, scope: Scope, receive: Receive, large: LargeBodies) -> Request | None:
        request = Request(scope)
        job = _AwaitedJob(self._admit, request, _nothing_comes)
        try:
            await self._response(job)
        finally:
            job.forget_client()
        if request.refusal is None and not await large.receive(request, receive):
            return None
        request.set_headers(
            _with_length(scope["headers"], 0 if request.spool is None else request.spool.size)
        )
        return request

    async def _read_body(self, receive: Receive) -> bytes | None:
        """The body, of which no more is read once it is too large; None where the client has gone."""
        chunks, length, more = [], 0, True
        while more and length <= self._max_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            length += len(chunks[-1])
            more = message.get("more_body", False)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _response(self, job: "_AwaitedJob") -> Response:
        self.begin(job)
        try:
            return await job.response
        except asyncio.CancelledError:
            self.request_threads().abandon(job)
            raise

    def begin(self, job: RequestJob[Any]) -> None:
        """Have the job run on one of the threads, or at once where it must not wait for one."""
        path = job.request.path
        if path not in self._special:
            self.request_threads().start(job)
        elif path in self._apart:
            self._own_threads().start(job)
        else:
            # Not in place: this may be called by a parser that is in the middle of several requests.
            asyncio.get_running_loop().call_soon(_run_if_wanted, job)

    def request_threads(self) -> RequestThreads:
        """Those of this process; made on first use, since threads would not survive the fork of a preloaded app."""
        if self._request_threads is None:
            self._request_threads = RequestThreads(self._threads, self._max_wait)
        return self._request_threads

    def queued(self) -> list[tuple[float, Request]]:
        """The requests that wait for a thread, and for how many seconds each does. For anybody; none under WSGI."""
        if self._request_threads is None:
            return []
        now = monotonic()
        jobs = (job for job in self._request_threads.waiting() if isinstance(job, RequestJob))
        return [(now - job.request.arrived, job.request) for job in jobs]

    def _own_threads(self) -> RequestThreads:
        if self._threads_apart is None:
            self._threads_apart = RequestThreads(_APART, self._max_wait)
        return self._threads_apart

    def _threads_for_streams(self) -> ThreadPoolExecutor:
        # Of their own: requests that wait for the connections of streams must not keep these from going on.
        if self._stream_executor is None:
            self._stream_executor = ThreadPoolExecutor(self._threads, thread_name_prefix="stream")
        return self._stream_executor

    async def send(self, response: Response, job: RequestJob[Any], send: Send) -> None:
        """Send a response, whole or piece by piece, and close it."""
        whole = response.whole
        if whole is None:
            stream = Stream(response, job.context, self._threads_for_streams)
            with self._stalls.over(transport_of(job.receive, send)):
                await self._send_stream(response, stream, job.client, send)
            return
        try:
            await send(_start_of(response))
            await send({"type": "http.response.body", "body": whole})
        finally:
            job.close(response)

    async def _send_stream(self, response: Response, stream: Stream, client: Client, send: Send) -> None:
        try:
            await send(_start_of(response))
            with client.may_be_gone():
                await self._send_pieces(stream, client, send)
        finally:
            with client.may_be_gone():
                await asyncio.shield(stream.close())

    async def _send_pieces(self, stream: Stream, client: Client, send: Send) -> None:
        # Servers may swallow what is sent to a client that is gone: the stream would run to its end.
        client.watch()
        while (chunk := await stream.next()) is not None:
            if client.is_gone:
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, self.start)
        except Exception as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        except asyncio.CancelledError:
            return  # the server ends at once, without asking
        for threads in (self._request_threads, self._threads_apart):
            if threads is not None:
                await threads.finish()
        await loop.run_in_executor(None, self.stop)
        await send({"type": "lifespan.shutdown.complete"})


def _start_of(response: Response) -> Mapping[str, Any]:
    """ASGI's message; UnicodeEncodeError for a header that has a character which is in none."""
    return {"type": "http.response.start", "status": response.status, "headers": response.headers.raw()}


def _run_if_wanted(job: RequestJob[Any]) -> None:
    if job.is_wanted():
        job.run_here()


class _AwaitedJob(RequestJob[Response]):
    """A request for whose response a coroutine waits."""

    __slots__ = ("response",)

    def __init__(self, handler: Handler, request: Request, receive: Receive) -> None:
        super().__init__(handler, request, receive)
        self.response: asyncio.Future[Response] = self._loop.create_future()

    def call(self) -> Response:
        return self.answer()

    def is_wanted(self) -> bool:
        return not self.response.done()

    def returned(self, value: Response) -> None:
        self.response.set_result(value)

    def broke(self, error: BaseException) -> None:
        self.response.set_exception(error)

    def discard(self, value: Response) -> None:
        self.close(value)


class _Body:
    """A response's body as WSGI wants it: iterated at most once, and always closed by the server."""

    def __init__(self, response: Response, on_close: Callable[[], None] = lambda: None) -> None:
        self._response = response
        self._on_close = on_close

    def __iter__(self) -> Iterator[bytes]:
        return self._response.chunks()

    def close(self) -> None:
        self._on_close()
        try:
            self._response.close()
        finally:
            under_way.current.set(None)


def _closing_the_spool(handler: Handler) -> Handler:
    """The handler, for a request with a spool, which is needed until its answer has ended."""

    def handle(request: Request) -> Response:
        response = handler(request)
        spool, close = request.spool, response.close
        assert spool is not None
        if response.whole is not None:
            spool.close()
            return response

        def close_both() -> None:
            try:
                close()
            finally:
                spool.close()

        response.close = close_both
        return response

    return handle


def _has_body(environ: Environ) -> bool:
    return bool(environ.get("CONTENT_LENGTH", "0") not in ("", "0") or environ.get("HTTP_TRANSFER_ENCODING"))


_BODILESS_VERSIONS = frozenset({"1.0", "1.1"})
"""Of HTTP, in which a body is announced by a header."""


def may_have_body(scope: Scope) -> bool:
    """Whether a request's body has still to be read."""
    if scope["method"] not in ("GET", "HEAD") or scope.get("http_version") not in _BODILESS_VERSIONS:
        return True
    return any(name in ANNOUNCING for name, _ in scope["headers"])


def bodiless_request(scope: Scope) -> Request:
    """The request of a scope that may have no body."""
    return Request(_in_memory(scope))


def _in_memory(scope: Scope) -> Scope:
    """A scope of our own, for a request that is in memory."""
    return {**scope, "path": translate.origin_form(scope["path"]), "asgi": translate.IN_MEMORY}


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """The headers for a body that has been read: its length, and no word of chunks."""
    kept = [pair for pair in headers if pair[0] not in ANNOUNCING]
    if not length and len(kept) == len(headers):
        return headers
    return [*kept, (b"content-length", b"%d" % length)]


def _path_in_app(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


def _holds_body_back(request: Request) -> bool:
    """Whether a client that is refused may have kept its body: it asked first, or sent no more of it."""
    refusal = request.refusal
    return refusal is not None and (
        isinstance(refusal, BodyStalled | BodyIncomplete) or request.header("expect") is not None
    )


async def _nothing_comes() -> Mapping[str, Any]:
    """In the place of `receive`, which would tell the client to send its body."""
    nothing: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    return await nothing
