"""A response whose pieces are made one by one, on threads but always in the request's own context."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from swagger_server.serving.messages import Response
from swagger_server.serving.threads import uninterrupted


class Stream:
    """The pieces of one response."""

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
        return loop.run_in_executor(self._threads(), self._context.run, uninterrupted, function, *args)
