"""A server that gives a request up: nothing is reported that is nobody's fault, and what was taken is given back."""

import asyncio
import threading
from typing import Any

import pytest

from swagger_server.serving import Application, Request, Response

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "path": "/",
    "headers": [],
    "query_string": b"",
}
PATIENCE = 20.0  # seconds


async def never(*_message: Any) -> Any:
    await asyncio.Event().wait()


def faults_of(cancelled: Any) -> list[dict[str, Any]]:
    """What the event loop reports while `cancelled()` runs in it."""
    faults: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))
        await cancelled()
        await asyncio.sleep(0.01)  # a few turns, for what is still to be called

    asyncio.run(run())
    return faults


def test_a_request_that_waits_for_no_thread_may_be_given_up() -> None:
    app = Application(
        lambda _request: Response(200, [], [b""]), immediate={"/": lambda _: Response(200, [], [b""])}
    )

    async def give_up() -> None:
        task = asyncio.create_task(app(dict(SCOPE), never, never))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert faults_of(give_up) == []


def test_a_response_that_comes_when_the_request_was_just_given_up_is_closed() -> None:
    closed = threading.Event()
    give_up_now: list[Any] = []

    def handler(_request: Request) -> Response:
        give_up_now[0]()
        return Response(200, [], iter([b"a", b"b"]), closed.set)

    app = Application(handler)

    async def give_up() -> None:
        task = asyncio.create_task(app(dict(SCOPE), never, never))
        loop = asyncio.get_running_loop()
        # Queued before the response is: the loop comes to it when nobody waits any more.
        give_up_now.append(lambda: loop.call_soon_threadsafe(task.cancel))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(closed.wait, PATIENCE)

    assert faults_of(give_up) == []
