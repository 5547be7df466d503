"""The service with one of its optimisations switched off, which WITHOUT names: what it gained is the difference.

Each switch puts back what the optimisation replaces, in the running modules and before anything is loaded.
"""

import os
from collections.abc import Callable
from typing import Any


def _compiled_operations() -> None:
    """Every request goes through Connexion's middleware, still on its one thread."""
    from swagger_server.serving import connexion_app
    from swagger_server.serving.routes import Routes

    connexion_app.compile_operations = lambda *_: Routes([], [])


def _few_threads() -> None:
    """Every request has a thread at once."""
    from swagger_server.serving import threads

    threads._FEWEST = 1000


def _late_request() -> None:
    """WSGI's environ and Flask's request are made for every request."""
    from swagger_server.serving import flask_side

    push = flask_side._RoutedContext.push

    def push_with_request(context: Any) -> None:
        assert context.request
        push(context)

    flask_side._RoutedContext.push = push_with_request  # type: ignore[method-assign]


def _simple_answers() -> None:
    """Flask's answers are called as the WSGI applications that they are."""
    from swagger_server.serving import flask_side

    flask_side._simple = lambda _answer: None


SWITCHES: dict[str, Callable[[], None]] = {
    "compiled-operations": _compiled_operations,
    "few-threads": _few_threads,
    "late-request": _late_request,
    "simple-answers": _simple_answers,
}
"""What can be switched off, by the names that WITHOUT takes."""

if "WITHOUT" in os.environ:
    SWITCHES[os.environ["WITHOUT"]]()

from swagger_server.wsgi import application  # noqa: E402 - what it loads is as the switch has left it

__all__ = ["SWITCHES", "application"]
