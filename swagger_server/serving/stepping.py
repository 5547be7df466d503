"""Running coroutines from synchronous code: by hand where they do not wait, else with an event loop."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def run_now(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that waits for nothing, without an event loop. RuntimeError where it does wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError(
        "a coroutine of the middleware waits for an event loop that this request was not given"
    )


def run_on_event_loop(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine in an event loop of its own, and wait for it."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        # Greenlets share one thread, and a thread runs one event loop at a time: take a real thread.
        import gevent

        gevent.get_hub().threadpool.apply(asyncio.run, (coroutine,))
    else:
        asyncio.run(coroutine)
