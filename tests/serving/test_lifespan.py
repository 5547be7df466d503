"""The lifespan of an app begins before its first request and ends with its worker."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import connexion
import pytest
from connexion.middleware import MiddlewarePosition
from starlette.types import ASGIApp, Receive, Scope, Send

from swagger_server.serving import Application, connexion_handler
from swagger_server.serving.lifespan import LifespanFailed
from tests.serving.calls.making import get
from tests.serving.sides import wsgi_side
from tests.serving.test_same_answers_configurations import Waits, operation, spec

Manager = Callable[[Any], AbstractAsyncContextManager[Any]]

PATHS = {
    f"/{name}": {"get": operation(f"tests.serving.waiting.functions.{name}")}
    for name in ("kept", "kept_asynchronously")
}


def application(lifespan: Manager | None, **options: Any) -> Application:
    app = connexion.FlaskApp(__name__, lifespan=lifespan)
    app.add_api(spec(PATHS))
    if options.pop("middleware", False):
        app.add_middleware(Waits, MiddlewarePosition.BEFORE_EXCEPTION)
    return Application(connexion_handler(app), **options)


@pytest.mark.parametrize("middleware", [False, True])
@pytest.mark.parametrize("path", ["/kept", "/kept_asynchronously"])
def test_each_request_has_a_copy_of_what_the_lifespan_keeps(path: str, middleware: bool):
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with anyio.create_task_group():  # which wants one task to enter and leave it
            events.append(f"entered for {type(app).__name__}")
            yield {"client": asyncio.get_running_loop()}
        events.append("left")

    served = application(
        lifespan,
        middleware=middleware,
        on_start=lambda: events.append("on_start"),
        on_stop=lambda: events.append("on_stop"),
    )
    served.start()
    assert events == ["on_start", "entered for ConnexionMiddleware"]
    side = wsgi_side(served)
    for _ in range(2):
        answer = side(get(path))
        assert (answer.status, answer.body) == (200, b'{\n  "runs": true,\n  "seen": []\n}\n')
    served.stop()
    assert events[2:] == ["left", "on_stop"]


def test_an_app_whose_lifespan_fails_does_not_start():
    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        raise ValueError("no such client")
        yield

    served = application(lifespan)
    with pytest.raises(LifespanFailed, match="no such client"):
        served.start()
    served.stop()


def test_an_app_that_exits_in_its_lifespan_does_not_start():
    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        sys.exit("no configuration")
        yield

    with pytest.raises(LifespanFailed, match="no configuration"):
        application(lifespan).start()


class _KnowsRequestsAlone:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"]
        await self.app(scope, receive, send)


def test_middleware_that_takes_no_lifespan_is_let_be():
    app = connexion.FlaskApp(__name__)
    app.add_api(spec(PATHS))
    app.add_middleware(_KnowsRequestsAlone, MiddlewarePosition.BEFORE_EXCEPTION)
    served = Application(connexion_handler(app))
    served.start()
    assert wsgi_side(served)(get("/nowhere")).status == 404
    served.stop()


def test_an_app_without_one_starts_and_stops():
    served = application(None)
    served.start()
    assert wsgi_side(served)(get("/nowhere")).status == 404
    served.stop()
    served.stop()
