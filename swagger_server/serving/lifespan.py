"""What an ASGI application does when its worker starts and stops, told by the lifespan events of ASGI.

Owns the one task, on the process's event loop, that this is from its beginning to its end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from swagger_server.serving.event_loop import run_on_event_loop

log = logging.getLogger(__name__)


class LifespanFailed(Exception):
    """The application could not start, or not stop; its text is what the application says of it."""


class Lifespan:
    """The lifespan of `app`, which may know of none."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._has_spoken = False
        self.state: dict[str, Any] = {}
        """What the application keeps for its requests, each of which has a copy."""

    def start(self) -> None:
        """Have the application start, and wait for that; LifespanFailed where it says that it could not."""
        run_on_event_loop(self._start())

    def stop(self) -> None:
        """Have it stop, and wait for that, if it has started; LifespanFailed where it says that it could not."""
        task, self._task = self._task, None
        if task is not None:
            run_on_event_loop(self._stop(task))

    async def _start(self) -> None:
        self._asked: asyncio.Queue[str] = asyncio.Queue()
        self._said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.create_task(self._run(scope))
        await self._ask("startup")

    async def _stop(self, task: "asyncio.Task[None]") -> None:
        if not task.done():
            await self._ask("shutdown")
            await task

    async def _run(self, scope: Mapping[str, Any]) -> None:
        try:
            await self._app(scope, self._receive, self._say)
        except BaseException as exc:
            if isinstance(exc, Exception) and not self._has_spoken:
                # By the specification of ASGI this is how an application says that it knows of no lifespan.
                log.info("the application takes no lifespan: %s: %s", type(exc).__name__, exc)
                self._said.put_nowait({"type": "ended"})
            else:
                self._said.put_nowait({"type": "failed", "message": str(exc) or type(exc).__name__})
        else:
            self._said.put_nowait({"type": "ended"})

    async def _say(self, message: Mapping[str, Any]) -> None:
        self._has_spoken = True
        await self._said.put(message)

    async def _receive(self) -> Mapping[str, Any]:
        return {"type": f"lifespan.{await self._asked.get()}"}

    async def _ask(self, what: str) -> None:
        await self._asked.put(what)
        answer = await self._said.get()
        if answer["type"].endswith("failed"):
            raise LifespanFailed(answer.get("message", ""))
