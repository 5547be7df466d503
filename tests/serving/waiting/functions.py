"""Security functions and controllers that wait for an event loop, or bring one of their own."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import connexion

from tests.serving.gallery.record import note

Asynchronous = Callable[..., Coroutine[Any, Any, Any]]

caller: ContextVar[str] = ContextVar("caller", default="nobody")
loop: ContextVar[int] = ContextVar("loop", default=0)

# Security


async def check(key, request):
    await asyncio.sleep(0)
    note("check", key=key, path=request.url.path)
    caller.set(key)
    loop.set(id(asyncio.get_running_loop()))
    return {"sub": key} if key != "wrong" else None


def _logged(function: Asynchronous) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        note("called")
        return function(*args, **kwargs)

    return call


decorated_check = _logged(check)


def returns_a_coroutine(key, request):
    return check(key, request)


class Keys:
    async def __call__(self, key, request):
        return await check(key, request)


object_check = Keys()


# Controllers


def synchronous(user=None):
    note("synchronous", user=user, caller=caller.get())
    return {"user": user}


def with_a_loop(user=None):
    async def work() -> str:
        await asyncio.sleep(0)
        return caller.get()

    return {"user": user, "caller": asyncio.run(work())}


async def asynchronous(user=None):
    await asyncio.sleep(0)
    note("asynchronous", user=user, caller=caller.get())
    return {"user": user}


async def reads():
    return {"read": (await connexion.request.body()).decode()}


async def reads_again(body):
    return {"read": await connexion.request.json()}


def whose_loop():
    asyncio.run(asyncio.sleep(0))
    return {"loop": loop.get(), "caller": caller.get()}


async def whose_loop_asynchronously():
    await asyncio.sleep(0)
    return {"loop": loop.get(), "caller": caller.get()}


def kept():
    state = connexion.request.scope["state"]
    seen = [key for key in state if key != "client"]
    state["left"] = "for nobody else"
    return {"runs": connexion.request.state.client.is_running(), "seen": seen}


async def kept_asynchronously():
    return kept()
