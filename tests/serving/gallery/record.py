"""What happened during a request: who was called with which values, of which types, in which order."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import flask
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


def note_signals(app: flask.Flask) -> None:
    """Note Flask's signals, by which it is known whether a request reached the Flask app."""
    for name in (
        "appcontext_pushed",
        "request_started",
        "request_finished",
        "got_request_exception",
        "request_tearing_down",
        "appcontext_tearing_down",
        "appcontext_popped",
    ):

        def hear(_sender: flask.Flask, name: str = name, **kwargs: Any) -> None:
            note("signal", name=name, carries=sorted(kwargs))

        getattr(flask, name).connect(hear, app, weak=False)
