"""One application object for both protocols, so that every gunicorn worker class can load it.

Owns reading the body, the one thread hop under ASGI, sending, and the start and stop of a worker.
Every server calls differently: WSGI workers with (environ, start_response), ASGI ones with
(scope, receive, send), and uvicorn, which takes a plain callable for ASGI 2, with (scope) alone.
"""

import asyncio
import contextlib
import contextvars
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from swagger_server import under_way
from swagger_server.serving import translate
from swagger_server.serving.deadlines import Deadlines
from swagger_server.serving.messages import (
    BodyIncomplete,
    BodyTooLarge,
    Handler,
    Request,
    Response,
    ServerBusy,
)
from swagger_server.serving.reasons import status_line
from swagger_server.serving.threads import GaveUp, Job, RequestThreads
from swagger_server.serving.translate import Environ, Scope

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Application:
    """A WSGI and ASGI application in front of a synchronous handler.

    `threads` is how many requests an ASGI worker runs at once; one that has waited for a thread for
    more than `max_wait` seconds reaches the handler with `refusal` set to ServerBusy, and one whose
    body is longer than `max_body` bytes with BodyTooLarge. A request that is not answered within
    `deadline` seconds (0: no limit) of its arrival has its work cancelled. `immediate` answers the paths that must not
    wait for a thread (it must not block). `on_start` and `on_stop` run once in each worker process:
    by the lifespan events of ASGI servers, or by `start()` and `stop()`, which whoever loads the
    application under WSGI calls.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        threads: int = 20,
        max_wait: float = 5.0,
        deadline: float = 0.0,
        max_body: int = 1_048_576,
        immediate: Mapping[str, Handler] | None = None,
        on_start: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.handler = handler
        self._threads = threads
        self._max_wait = max_wait
        self._deadlines = Deadlines(deadline)
        self._max_body = max_body
        self._immediate = dict(immediate or {})
        self._on_start = on_start
        self._on_stop = on_stop
        self._request_threads: RequestThreads | None = None
        self._stream_executor: ThreadPoolExecutor | None = None

    def __call__(self, *args: Any) -> Any:
        if len(args) == 3:
            return self._asgi_http(*args) if args[0]["type"] == "http" else self.asgi(*args)
        if len(args) == 2:
            return self.wsgi(*args)
        if len(args) == 1:
            return functools.partial(self.asgi, *args)
        # uvicorn calls with nothing to find out whether this is a factory
        raise TypeError(
            f"expected (environ, start_response) or (scope, receive, send), got {len(args)} arguments"
        )

    def start(self) -> None:
        """Make this process ready for requests; raises what `on_start` raises."""
        self._on_start()

    def stop(self) -> None:
        """Give back what `start` took. Requests under way should have ended."""
        self._on_stop()

    # WSGI

    def wsgi(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer on the calling thread."""
        response = self._answer(self._read_wsgi(environ))
        start_response(status_line(response.status), list(response.headers))
        return _Body(response)

    def _read_wsgi(self, environ: Environ) -> Request:
        body, refusal = b"", None
        if _has_body(environ):
            body = environ["wsgi.input"].read(self._max_body + 1)
            refusal = self._refusal(body, environ.get("CONTENT_LENGTH"))
        if refusal is not None:
            body = b""
        translate.set_body(environ, body)
        return Request(translate.scope_from_environ(environ), body, refusal, environ)

    def _refusal(self, body: bytes, announced: str | None) -> Exception | None:
        if len(body) > self._max_body:
            return BodyTooLarge(self._max_body)
        if announced and len(body) < int(announced):
            # The client went away in the middle: what has come must not be taken for all of it.
            return BodyIncomplete()
        return None

    def _answer(self, request: Request) -> Response:
        handler = self._immediate.get(request.path, self.handler)
        under_way.current.set(request)
        self._deadlines.begin(request)
        try:
            return handler(request)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return Response(500, [("Content-Type", "text/plain")], [b"Internal Server Error"])
        finally:
            self._deadlines.end(request)

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
        job = _RequestJob(self._answer, request, receive)
        try:
            if request.path in self._immediate:
                response = job.call()
            else:
                response = await self._on_thread(job)
            await self._send(response, job, send)
        finally:
            job.forget_client()

    async def _read_asgi(self, scope: Scope, receive: Receive) -> Request | None:
        scope = {**scope, "path": translate.origin_form(scope["path"]), "asgi": translate.IN_MEMORY}
        if not _may_have_body(scope):
            return Request(scope)
        body = await self._read_body(receive)
        if body is None:
            return None
        refusal = BodyTooLarge(self._max_body) if len(body) > self._max_body else None
        body = b"" if refusal else body
        scope["headers"] = _with_length(scope["headers"], body)
        return Request(scope, body, refusal)

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

    async def _on_thread(self, job: "_RequestJob") -> Response:
        if self._request_threads is None:
            # Made on first use: threads would not survive the fork of a preloaded application.
            self._request_threads = RequestThreads(self._threads, self._max_wait)
        try:
            return await self._request_threads.run(job)
        except GaveUp:
            job.request.refusal = ServerBusy(self._max_wait)
            return job.call()

    def _threads_for_streams(self) -> ThreadPoolExecutor:
        # Of their own: requests that wait for the connections of streams must not keep these from going on.
        if self._stream_executor is None:
            self._stream_executor = ThreadPoolExecutor(self._threads, thread_name_prefix="stream")
        return self._stream_executor

    async def _send(self, response: Response, job: "_RequestJob", send: Send) -> None:
        start = {"type": "http.response.start", "status": response.status, "headers": response.headers.raw()}
        whole = response.whole
        if whole is None:
            await self._send_stream(
                start, _Stream(response, job.context, self._threads_for_streams), job.client, send
            )
            return
        try:
            await send(start)
            await send({"type": "http.response.body", "body": whole})
        finally:
            response.close()

    async def _send_stream(
        self, start: Mapping[str, Any], stream: "_Stream", client: "_Client", send: Send
    ) -> None:
        try:
            await send(start)
            with client.may_be_gone():
                await self._send_pieces(stream, client, send)
        finally:
            with client.may_be_gone():
                await asyncio.shield(stream.close())

    async def _send_pieces(self, stream: "_Stream", client: "_Client", send: Send) -> None:
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
        await receive()
        await loop.run_in_executor(None, self.stop)
        await send({"type": "lifespan.shutdown.complete"})


class _Stream:
    """A response whose pieces are made one by one, on threads but always in the request's own context."""

    def __init__(
        self, response: Response, context: contextvars.Context, threads: Callable[[], ThreadPoolExecutor]
    ) -> None:
        self._response = response
        self._chunks = response.chunks()
        self._context = context
        self._threads = threads
        self._last: asyncio.Future[Any] | None = None

    async def next(self) -> bytes | None:
        """The next piece, or None at the end."""
        self._last = self._run(next, self._chunks, None)
        piece: bytes | None = await asyncio.shield(self._last)
        return piece

    async def close(self) -> None:
        """Close the response, once the piece that is being made is done: a context has one user at a time."""
        if self._last is not None:
            await asyncio.wait([self._last])
            self._last.exception()  # was raised to whoever waited for the piece
        await self._run(self._response.close)

    def _run(self, function: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads(), self._context.run, function, *args)


class _RequestJob(Job[Response]):
    """A request under way, and one context for all its pieces, on whichever threads they run."""

    __slots__ = ("_client", "_function", "_receive", "context", "request")

    def __init__(self, function: Handler, request: Request, receive: Receive) -> None:
        super().__init__()
        self._function = function
        self.request = request
        self.context = contextvars.copy_context()
        self._receive = receive
        self._client: _Client | None = None

    @property
    def client(self) -> "_Client":
        """Who waits for the answer."""
        if self._client is None:
            self._client = _Client(self._receive, self.request)
        return self._client

    def forget_client(self) -> None:
        """The answer is sent, or nobody wants it."""
        if self._client is not None:
            self._client.forget()

    def call(self) -> Response:
        return self.context.run(self._function, self.request)

    def discard(self, value: Response) -> None:
        value.close()

    def turned_slow(self) -> None:
        # Most requests are answered before it is worth the trouble.
        self.client.watch()

    def abandoned(self) -> None:
        # The server gives the request up. A handler that runs comes to its end, its response is not sent.
        self.client.give_up()


class _Client:
    """Who waits for the answer to a request. When it is known to be gone, the request's work is cancelled."""

    __slots__ = ("_receive", "_request", "_watcher", "is_gone")

    def __init__(self, receive: Receive, request: Request) -> None:
        self._receive = receive
        self._request = request
        self._watcher: asyncio.Task[None] | None = None
        self.is_gone = False

    def watch(self) -> None:
        """From now on notice when the client goes."""
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._wait_until_gone())

    async def _wait_until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self.give_up()

    @contextlib.contextmanager
    def may_be_gone(self) -> Iterator[None]:
        """Errors within the block are nobody's business once the client is gone: its work was cancelled."""
        try:
            yield
        except Exception as exc:
            if not self.is_gone:
                raise
            log.debug("after the client had gone: %s", exc)

    def give_up(self) -> None:
        """Cancel the request's work."""
        self._request.cancellation.cancel()

    def forget(self) -> None:
        """Stop watching."""
        if self._watcher is not None:
            self._watcher.cancel()


class _Body:
    """A response's body as WSGI wants it: iterated at most once, and always closed by the server."""

    def __init__(self, response: Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.chunks()

    def close(self) -> None:
        try:
            self._response.close()
        finally:
            under_way.current.set(None)  # the thread goes on to other requests in this context


def _has_body(environ: Environ) -> bool:
    return bool(environ.get("CONTENT_LENGTH", "0") not in ("", "0") or environ.get("HTTP_TRANSFER_ENCODING"))


_BODILESS_VERSIONS = frozenset({"1.0", "1.1"})
"""Of HTTP, in which a body is announced by a header."""

_ANNOUNCING = frozenset({b"content-length", b"transfer-encoding"})


def _may_have_body(scope: Scope) -> bool:
    if scope["method"] not in ("GET", "HEAD") or scope.get("http_version") not in _BODILESS_VERSIONS:
        return True
    return any(name in _ANNOUNCING for name, _ in scope["headers"])


def _with_length(headers: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers for a body that is in memory: its length, and no word of chunks."""
    kept = [pair for pair in headers if pair[0] not in _ANNOUNCING]
    if not body and len(kept) == len(headers):
        return headers
    return [*kept, (b"content-length", b"%d" % len(body))]
