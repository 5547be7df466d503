"""Bodies too large for memory: of which requests, and their way into a temporary file, before anybody runs.

An operation says in the spec that its body is such a one: `x-spooled-body: true`. Its controller reads the body from
`flask.request.stream`, in which it can seek, and takes no argument for it. Neither a connection nor a thread
that others wait for is held while it comes, and what comes incomplete reaches no controller. Before it is read at
all, `LargeBodies.admit` may say that the request is refused.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import IO, Any

from swagger_server.serving.body_faults import (
    BodyFault,
    BodyIncomplete,
    BodyStalled,
    BodyTooLarge,
    BodyTooSlow,
    is_incomplete,
)
from swagger_server.serving.messages import Request
from swagger_server.serving.spool import Spool
from swagger_server.serving.turns import NoTurn, Turns

log = logging.getLogger(__name__)

_EXTENSION = "x-spooled-body"

_PIECE = 262_144
"""Bytes that are read, or written to the file, at a time."""

_PATIENCE = 60.0
"""Seconds of silence after which the rest of a body is not waited for any more."""

_WRITERS = 2
"""Threads that write: the event loop must not wait for a disk."""

Wants = Callable[[str, str], bool]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class LargeBodies:
    """What is done with the bodies of the requests for which `wants(method, path)` is true.

    One may have up to `limit` bytes, and its request is answered within `deadline` seconds (0: no limit) of its end.
    `admit` raises what a request is to be refused for before its body is read. The files are in `folder`. Of one
    process there are at most `most`, and of one caller at most `most_each` (0: no bound), from the first byte to the
    answer: more are refused unread, with NoTurn. One that has not come within `seconds` (0: no limit) is a BodyTooSlow;
    under WSGI that is noticed between two pieces.
    """

    def __init__(
        self,
        wants: Wants,
        admit: Callable[[Request], object],
        limit: int,
        deadline: float = 0.0,
        folder: Path | None = None,
        *,
        most: int = 0,
        most_each: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self.wants = wants
        self._admit = admit
        self._limit = limit
        self._deadline = deadline
        self._folder = folder
        self._most = most
        self._most_each = most_each
        self._seconds = seconds or float("inf")
        self._turns = Turns("uploads")
        self._writers: ThreadPoolExecutor | None = None

    def admit(self, request: Request) -> None:
        """Look at a request whose body has not been read; what is wrong with it becomes its refusal."""
        if request.refusal is not None:
            return
        try:
            if (_announced(request) or 0) > self._limit:
                raise BodyTooLarge(self._limit)
            self._admit(request)
        except Exception as exc:
            request.refusal = exc

    def read(self, request: Request, source: IO[bytes]) -> None:
        """Give the request its body, as a WSGI server hands it over, or a refusal."""
        with self._spooling(request) as spool:
            self._take_turn(request, spool)
            until = monotonic() + self._seconds
            while piece := _read(source):
                spool.write([piece])
                if monotonic() > until:
                    raise BodyTooSlow(self._seconds)
            if spool.size < (_announced(request) or 0):
                raise BodyIncomplete
            spool.finish()

    async def receive(self, request: Request, receive: Receive) -> bool:
        """Give the request its body, as an ASGI server tells of it, or a refusal; False where its client has gone."""
        try:
            with self._spooling(request) as spool:
                self._take_turn(request, spool)
                async for pieces in _batches(receive, self._seconds):
                    await self._on_a_thread(spool.write, pieces)
                if is_incomplete(request.scope["headers"], spool.size):
                    raise BodyIncomplete
                await self._on_a_thread(spool.finish)
        except _ClientGone:
            return False
        return True

    @contextmanager
    def _spooling(self, request: Request) -> Iterator[Spool]:
        spool = Spool(self._limit, self._folder)
        try:
            yield spool
        except (BodyFault, NoTurn) as exc:
            spool.close()
            request.refusal = exc
        except BaseException:
            spool.close()
            raise
        else:
            if spool.size:
                request.take_spool(spool, self._deadline)
            else:
                spool.close()

    def _take_turn(self, request: Request, spool: Spool) -> None:
        spool.on_close = self._turns.take(request.caller.get("user"), self._most, self._most_each)

    async def _on_a_thread(self, function: Callable[..., None], *args: Any) -> None:
        if self._writers is None:
            self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="spool")
        await asyncio.get_running_loop().run_in_executor(self._writers, function, *args)


class _ClientGone(Exception):
    """Nobody waits for an answer."""


def _announced(request: Request) -> int | None:
    length = request.header("content-length")
    return int(length) if length else None


def _read(source: IO[bytes]) -> bytes:
    try:
        return source.read(_PIECE)
    except Exception as exc:
        # Whatever the server calls it: the client has gone, or what it sends is in no chunks.
        log.debug("a request's body could not be read: %s", exc)
        raise BodyIncomplete from exc


async def _batches(receive: Receive, seconds: float) -> AsyncIterator[list[bytes]]:
    """The body, all of which is to come within so many seconds, in lists of pieces, each worth a write."""
    until = monotonic() + seconds
    pieces: list[bytes] = []
    more = True
    while more:
        left = until - monotonic()
        if left <= 0:
            raise BodyTooSlow(seconds)
        try:
            message = await _next(receive, min(_PATIENCE, left))
        except TimeoutError:
            raise (BodyStalled(_PATIENCE) if left > _PATIENCE else BodyTooSlow(seconds)) from None
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
        if not more or sum(map(len, pieces)) >= _PIECE:
            yield pieces
            pieces = []


async def _next(receive: Receive, seconds: float) -> Mapping[str, Any]:
    async with asyncio.timeout(seconds):
        message = await receive()
    if message["type"] == "http.disconnect":
        raise _ClientGone
    return message


def spooled_operations(specs: Iterable[tuple[str, Mapping[str, Any]]]) -> Wants | None:
    """The `wants` of the operations that are marked in the specs, each with the path it is served under.

    None where there is no such operation.
    """
    fixed: dict[tuple[str, str], bool] = {}
    patterns: list[tuple[str, re.Pattern[str]]] = []
    for base, spec in specs:
        for path, method, is_marked in _operations(spec):
            if "{" not in path:
                fixed[method, base + path] = is_marked
            elif is_marked:
                patterns.append((method, _pattern(base + path)))
    if not patterns and not any(fixed.values()):
        return None

    def wants(method: str, path: str) -> bool:
        known = fixed.get((method, path))
        if known is None:
            return any(each == method and pattern.fullmatch(path) for each, pattern in patterns)
        return known

    return wants


def _operations(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, Mapping):
                yield path, method.upper(), is_spooled(operation)


def is_spooled(operation: Mapping[str, Any]) -> bool:
    """Whether an operation's body is not to be kept in memory."""
    return operation.get(_EXTENSION) is True


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^{}]*\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)))
