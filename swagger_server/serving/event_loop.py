"""The event loop of this process for what a synchronous request has to wait for: asynchronous functions of the app.

Owns the loop, one for all requests, so that a client or a pool that such a function keeps can be used by the next
one; and the thread it runs on, which must not be kept: whatever may block is handed back to the request's thread.
"""

import asyncio
import contextvars
import importlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

_caller: contextvars.ContextVar["_Caller"] = contextvars.ContextVar("caller")
"""In the context of a task: whose coroutine it is."""


def run_on_event_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the process's event loop, and wait for it; raises what it raises.

    It begins with the caller's context variables, and what it sets the caller has afterwards.
    """
    return _Caller(_running_loop()).wait_for(coroutine)


async def on_callers_thread(function: Callable[[], T]) -> T:
    """Call a function that may block: on the thread that waits for this coroutine, where no event loop runs.

    Of a coroutine that is run by hand that is this thread.
    """
    caller = _caller.get(None)
    return function() if caller is None else await caller.call(function)


async def finish(value: Any) -> Any:
    """The value of what may be a coroutine, which may wait, whether or not this one has an event loop."""
    while asyncio.iscoroutine(value):
        value = run_on_event_loop(value) if _caller.get(None) is None else await value
    return value


class _Caller:
    """A thread that waits for its coroutine, and meanwhile makes the calls that this hands to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: Any = _queue()
        self._has_left = False

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        begun = contextvars.copy_context()
        context = begun.copy()
        context.run(_caller.set, self)
        tasks: list[asyncio.Task[T]] = []
        self._loop.call_soon_threadsafe(self._begin, coroutine, context, tasks)
        try:
            while (call := _wait_for(self._calls.get)) is not None:
                call()
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            raise
        finally:
            self._has_left = True
        _take_over(context, begun)
        return tasks[0].result()

    def _begin(
        self, coroutine: Coroutine[Any, Any, T], context: contextvars.Context, tasks: "list[asyncio.Task[T]]"
    ) -> None:
        task = self._loop.create_task(coroutine, context=context)
        tasks.append(task)
        task.add_done_callback(lambda _: self._calls.put(None))

    async def call(self, function: Callable[[], T]) -> T:
        if self._has_left:
            raise RuntimeError("the request has ended: nobody is left to make the call")
        done: asyncio.Future[Callable[[], T]] = self._loop.create_future()
        context = contextvars.copy_context()

        def call() -> None:
            _take_over(context, {})
            try:
                outcome = partial(_same, function())
            except Exception as exc:
                outcome = partial(_raise, exc)
            self._loop.call_soon_threadsafe(_settle, done, outcome)

        self._calls.put(call)
        return (await done)()


def _same(value: T) -> T:
    return value


def _raise(error: Exception) -> Any:
    raise error


def _settle(future: "asyncio.Future[Any]", outcome: Any) -> None:
    if not future.done():
        future.set_result(outcome)


def _take_over(context: contextvars.Context, known: Mapping[contextvars.ContextVar[Any], Any]) -> None:
    """Set here what was set there, but for what is `known`."""
    for variable, value in context.items():
        if variable is _caller or (variable in known and known[variable] is value):
            continue
        if variable.get(None) is not value:
            variable.set(value)


# The loop, and greenlets: these share a thread, on which neither a loop may run nor anything wait for one.

_lock = Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""By the process: a fork has none of the threads."""


def _running_loop() -> asyncio.AbstractEventLoop:
    process = os.getpid()
    with _lock:
        if process not in _loops:
            made = _queue()
            _original("_thread", "start_new_thread")(_run_loop, (made,))
            _loops[process] = made.get()
        return _loops[process]


def _run_loop(made: Any) -> None:
    # Made on its own thread: with gevent what it starts are greenlets of this one, which its selector lets run.
    loop = asyncio.SelectorEventLoop()
    if _has_greenlets():
        loop.set_default_executor(_Threads())
    made.put(loop)
    while True:
        try:
            loop.run_forever()
        except BaseException as exc:
            # A task's SystemExit, say, which whoever waits for the task is told of, too.
            log.error("the event loop goes on after %s: %s", type(exc).__name__, exc)


class _Threads(ThreadPoolExecutor):
    """Calls on real threads, one for each. For greenlets in their place the process would wait at its end for ever."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as exc:
                future.set_exception(exc)

        _original("_thread", "start_new_thread")(run, ())
        return future


def _queue() -> Any:
    return _original("queue", "SimpleQueue")()


def _wait_for(get: Callable[[], T]) -> T:
    if not _has_greenlets():
        return get()
    import gevent

    value: T = gevent.get_hub().threadpool.apply(get)
    return value


def _original(module: str, name: str) -> Any:
    """What stands in a module of the standard library, where gevent may have put its own."""
    if _has_greenlets():
        return sys.modules["gevent.monkey"].get_original(module, name)
    return getattr(importlib.import_module(module), name)


def _has_greenlets() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")
