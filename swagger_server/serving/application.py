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
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from swagger_server.serving import translate
from swagger_server.serving.deadlines import Deadlines
from swagger_server.serving.messages import (
    BodyIncomplete,
    BodyTooLarge,
    Environ,
    Handler,
    Request,
    Response,
    Scope,
    ServerBusy,
)
from swagger_server.serving.reasons import status_line

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


_PATIENCE = 0.2
"""Seconds after which a request counts as slow, so that its client is watched."""


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
        self._executor: ThreadPoolExecutor | None = None
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
        """Make this process ready for requests; raises what `on_start` raises."""
        self._on_start()

    def stop(self) -> None:
        """Give back what `start` took. Requests under way should have ended."""
        self._on_stop()

    # WSGI

    def wsgi(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer on the calling thread."""
        response = self._answer(self._read_wsgi(environ))
        start_response(status_line(response.status), response.headers)
        return _Body(response)

    def _read_wsgi(self, environ: Environ) -> Request:
        body, refusal = b"", None
        if _has_body(environ):
            body = environ["wsgi.input"].read(self._max_body + 1)
            refusal = self._refusal(body, environ.get("CONTENT_LENGTH"))
        if refusal is not None:
            body = b""
        translate.set_body(environ, body)
        return Request(environ, translate.scope_from_environ(environ), body, refusal)

    def _refusal(self, body: bytes, announced: str | None) -> Exception | None:
        if len(body) > self._max_body:
            return BodyTooLarge(self._max_body)
        if announced and len(body) < int(announced):
            # The client went away in the middle: what has come must not be taken for all of it.
            return BodyIncomplete()
        return None

    def _answer(self, request: Request) -> Response:
        handler = self._immediate.get(request.path, self.handler)
        try:
            with self._deadlines.watching(request):
                return handler(request)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return Response(500, [("Content-Type", "text/plain")], [b"Internal Server Error"])

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
        # One context for all the pieces of a request, on whichever threads they run.
        context = contextvars.copy_context()
        client = _Client(receive, request)
        try:
            if request.path in self._immediate:
                response = context.run(self._answer, request)
            else:
                response = await self._on_thread(request, context, client)
            await self._send(response, context, client, send)
        finally:
            client.forget()

    async def _read_asgi(self, scope: Scope, receive: Receive) -> Request | None:
        chunks, length, refusal = [], 0, None
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            length += len(chunks[-1])
            more = message.get("more_body", False)
            if length > self._max_body:
                chunks, more, refusal = [], False, BodyTooLarge(self._max_body)
        body = b"".join(chunks)
        scope = {**scope, "path": translate.origin_form(scope["path"]), "asgi": translate.IN_MEMORY}
        environ = translate.environ_from_scope(scope, body)
        scope["headers"] = _with_length(scope["headers"], environ)
        return Request(environ, scope, body, refusal)

    async def _on_thread(self, request: Request, context: contextvars.Context, client: "_Client") -> Response:
        submitted = self._threads_of_this_process().submit(context.run, self._answer, request)
        # A future that no thread has begun with can still be cancelled; any other one stays as it is.
        patience = asyncio.get_running_loop().call_later(self._max_wait, submitted.cancel)
        client.watch_after(_PATIENCE)
        try:
            return await asyncio.shield(asyncio.wrap_future(submitted))
        except asyncio.CancelledError:
            if submitted.cancelled():
                request.refusal = ServerBusy(self._max_wait)
                return context.run(self._answer, request)
            # The server gives the request up. A handler that runs comes to its end, its response is not sent.
            if not submitted.cancel():
                submitted.add_done_callback(_discard)
                client.give_up()
            raise
        finally:
            patience.cancel()

    def _threads_of_this_process(self) -> ThreadPoolExecutor:
        # Made on first use: threads would not survive the fork of a preloaded application.
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="request")
        return self._executor

    def _threads_for_streams(self) -> ThreadPoolExecutor:
        # Of their own: requests that wait for the connections of streams must not keep these from going on.
        if self._stream_executor is None:
            self._stream_executor = ThreadPoolExecutor(self._threads, thread_name_prefix="stream")
        return self._stream_executor

    async def _send(
        self, response: Response, context: contextvars.Context, client: "_Client", send: Send
    ) -> None:
        whole = response.whole
        stream = _Stream(response, context, self._threads_for_streams) if whole is None else None
        try:
            await send({"type": "http.response.start", "status": response.status, "headers": _raw(response)})
            if stream is None:
                await send({"type": "http.response.body", "body": whole})
            else:
                with client.may_be_gone():
                    await self._send_stream(stream, client, send)
        finally:
            if stream is None:
                response.close()
            else:
                with client.may_be_gone():
                    await asyncio.shield(stream.close())

    async def _send_stream(self, stream: "_Stream", client: "_Client", send: Send) -> None:
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


class _Client:
    """Who waits for the answer to a request. When it is known to be gone, the request's work is cancelled."""

    def __init__(self, receive: Receive, request: Request) -> None:
        self._receive = receive
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.is_gone = False

    def watch_after(self, seconds: float) -> None:
        """Watch once the request has taken so long: most requests are answered before that."""
        self._timer = self._loop.call_later(seconds, self.watch)

    def watch(self) -> None:
        if self._watcher is None:
            self._watcher = self._loop.create_task(self._wait_until_gone())

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
        """Stop watching: the answer is sent, or nobody wants it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()


class _Body:
    """A response's body as WSGI wants it: iterated at most once, and always closed by the server."""

    def __init__(self, response: Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.chunks()

    def close(self) -> None:
        self._response.close()


def _has_body(environ: Environ) -> bool:
    return bool(environ.get("CONTENT_LENGTH", "0") not in ("", "0") or environ.get("HTTP_TRANSFER_ENCODING"))


def _with_length(headers: list[tuple[bytes, bytes]], environ: Environ) -> list[tuple[bytes, bytes]]:
    """The headers for a body that is in memory: its length, and no word of chunks."""
    if "CONTENT_LENGTH" not in environ:
        return headers
    kept = [(k, v) for k, v in headers if k not in (b"content-length", b"transfer-encoding")]
    return [*kept, (b"content-length", environ["CONTENT_LENGTH"].encode())]


def _raw(response: Response) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]


def _discard(finished: "Future[Response]") -> None:
    if not finished.cancelled() and finished.exception() is None:
        finished.result().close()
