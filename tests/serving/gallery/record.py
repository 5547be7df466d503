"""What happened during a request: who was called with which values, of which types, in which order."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from werkzeug.datastructures import FileStorage

_events: ContextVar[list[Any]] = ContextVar("events")


@contextmanager
def recording() -> Iterator[list[Any]]:
    """Collect what is noted within the block, on whichever threads that inherit its context."""
    token = _events.set(events := [])
    try:
        yield events
    finally:
        _events.reset(token)


def note(what: str, **values: Any) -> None:
    _events.get().append((what, {name: described(value) for name, value in values.items()}))


def described(value: Any) -> Any:
    """The value and its type, and those of everything in it, as something that can be compared and printed."""
    kind = type(value).__name__
    if isinstance(value, FileStorage):
        content = value.stream.read()
        value.stream.seek(0)
        return kind, value.name, value.filename, value.mimetype, content
    if isinstance(value, dict):
        return kind, {described(key): described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return kind, [described(item) for item in value]
    return kind, repr(value)
