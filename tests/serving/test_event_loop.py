"""What waits has an event loop, one for all requests; what may block has a thread of its own."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import connexion
import pytest
import requests
from connexion.middleware import MiddlewarePosition
from starlette.types import ASGIApp, Receive, Scope, Send

from swagger_server.serving import Application, connexion_handler
from swagger_server.serving.event_loop import finish, on_callers_thread, run_on_event_loop
from tests.serving.calls.making import get
from tests.serving.sides import wsgi_side
from tests.serving.test_same_answers_configurations import operation, spec
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn

ONE_THREAD = ("sync", "gevent")
"""Workers whose requests share a thread, on which a controller may run one event loop at a time."""
WORKERS = [*ONE_THREAD, "gthread", "asgi", "uvicorn_worker.UvicornWorker", OWN_WORKER]
REQUESTS = 16

variable: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.fixture(params=WORKERS)
def worker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(worker: str) -> Iterator[Gunicorn]:
    threads = "8" if worker == "gthread" else "1"
    with start_gunicorn(
        "-k", worker, "-c", "/dev/null", "--threads", threads, app="tests.serving.waiting.wsgi"
    ) as running:
        yield running


def test_requests_share_the_loop_and_keep_their_own_context(service: Gunicorn, worker: str):
    asked = [
        (path, f"key{number}", wait)
        for number in range(REQUESTS)
        for path in ("synchronous", "asynchronous")
        for wait in ({}, {"X-Wait": "yes"})
    ]

    def ask(what: tuple[str, str, dict[str, str]]) -> Any:
        path, key, more = what
        answer = requests.get(f"{service.url}/waiting/{path}", headers={"X-Key": key, **more}, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with ThreadPoolExecutor(1 if worker in ONE_THREAD else REQUESTS) as clients:
        answers = list(clients.map(ask, asked))
    assert [answer["caller"] for answer in answers] == [key for _, key, _ in asked]
    (loop,) = {answer["loop"] for answer in answers}
    assert loop


def test_what_waits_for_a_file_is_served(service: Gunicorn):
    for _ in range(2):
        answer = requests.get(f"{service.url}/waiting/ui/swagger-ui.css", timeout=20)
        assert (answer.status_code, ".swagger-ui" in answer.text) == (200, True)


def test_context_variables_go_there_and_come_back():
    async def change() -> str:
        found = variable.get()
        variable.set("set there")
        return found

    token = variable.set("set here")
    try:
        assert run_on_event_loop(change()) == "set here"
        assert variable.get() == "set there"
    finally:
        variable.reset(token)


def test_what_may_block_sees_the_context_and_runs_outside_of_the_loop():
    async def call() -> str:
        variable.set("set there")
        return await on_callers_thread(lambda: asyncio.run(_value()))

    async def _value() -> str:
        return variable.get()

    token = variable.set("set here")
    try:
        assert run_on_event_loop(call()) == "set there"
    finally:
        variable.reset(token)


def test_what_is_set_on_the_callers_thread_stays():
    async def call() -> None:
        await on_callers_thread(lambda: variable.set("set by the call"))

    token = variable.set("set here")
    try:
        run_on_event_loop(call())
        assert variable.get() == "set by the call"
    finally:
        variable.reset(token)


class _SetsIt:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        variable.set("set by the middleware")
        await self.app(scope, receive, send)


def what_it_is() -> dict[str, str]:
    return {"variable": variable.get()}


def test_what_middleware_sets_is_of_its_request_alone():
    app = connexion.FlaskApp(__name__)
    app.add_api(spec({"/variable": {"get": operation(f"{__name__}.what_it_is")}}))
    app.add_middleware(_SetsIt, MiddlewarePosition.BEFORE_EXCEPTION)
    answer = wsgi_side(Application(connexion_handler(app)))(get("/variable"))
    assert json.loads(answer.body) == {"variable": "set by the middleware"}
    assert variable.get() == "unset"


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no")], ids=repr)
def test_what_is_raised_on_the_callers_thread_is_raised_to_the_coroutine(error: Exception):
    def fail() -> None:
        raise error

    async def call() -> str:
        try:
            await on_callers_thread(fail)
        except (ValueError, RuntimeError) as exc:  # no coroutine lets a StopIteration through
            return str(exc)
        return "nothing was raised"

    assert run_on_event_loop(call()) in ("no", "coroutine raised StopIteration")


def test_a_thread_that_is_ended_cancels_its_coroutine():
    cancelled: list[str] = []

    async def call() -> None:
        try:
            await on_callers_thread(_exit)
        except asyncio.CancelledError:
            cancelled.append("cancelled")
            raise

    with pytest.raises(SystemExit):
        run_on_event_loop(call())
    run_on_event_loop(asyncio.sleep(0))  # which goes on
    assert cancelled == ["cancelled"]


def _exit() -> None:
    raise SystemExit(1)


def test_the_loop_goes_on_after_a_coroutine_that_exits():
    async def call() -> None:
        await asyncio.sleep(0)
        _exit()

    for _ in range(2):
        with pytest.raises(SystemExit):
            run_on_event_loop(call())


def test_a_task_that_outlives_its_request_is_told_that_nobody_makes_its_calls():
    async def late() -> str:
        while not tasks[0].done():
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)  # the thread has to see it, too
        with pytest.raises(RuntimeError, match="the request has ended"):
            await on_callers_thread(_exit)
        return "told"

    tasks: list[asyncio.Task[Any]] = []

    async def call() -> None:
        tasks[:] = [asyncio.current_task(), asyncio.create_task(late())]  # type: ignore[list-item]

    async def outcome() -> Any:
        return await tasks[1]

    run_on_event_loop(call())
    assert run_on_event_loop(outcome()) == "told"


def test_coroutines_are_finished_on_the_loop_wherever_one_is():
    async def nested() -> Any:
        return _two()

    async def _two() -> int:
        await asyncio.sleep(0)
        return 2

    async def outer() -> Any:
        return await finish(nested())

    assert run_on_event_loop(outer()) == 2
