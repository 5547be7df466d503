"""Running coroutines from synchronous code, by hand, where they do not wait."""

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
