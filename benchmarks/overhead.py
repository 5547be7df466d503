"""What Connexion's part of a request costs: CPU per request, in one process, without server or database.

    python benchmarks/overhead.py                       a table of microseconds per request
    python benchmarks/overhead.py --requests 3000       longer repetitions, steadier figures
    python benchmarks/overhead.py --profile plain       where this service's handler spends it

Routing, security, validation, parameters and the answer of operations with one path and one query parameter,
by three ways from the same request to the same answer: this project's handler, Connexion's own middleware,
and bare Flask with the checks written by hand. Ways and repetitions are interleaved, and what counts is the
processor's time of the whole process, not the clock's: a busy machine disturbs it little. The exit status is
1 when an answer is not the expected one.
"""

# ruff: noqa: E402 - what is imported late needs what comes before it.

import argparse
import asyncio
import cProfile
import gc
import json
import logging
import pstats
import statistics
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

warnings.filterwarnings("ignore", "Using `httpx` with `starlette.testclient`")

import connexion
import flask
import uvloop

from swagger_server.serving import VALIDATORS, Handler, Request, connexion_handler, translate

Scope = dict[str, Any]
Run = Callable[[list[Any]], Any]

BODY = b'{"number":7,"limit":10}'
LIMITS = (1, 500)

# Spec and controllers


def read(number: int, limit: int) -> flask.Response:
    """GET /v1/things/{number} and /v1/kept/{number}"""
    assert (number, limit) == (7, 10)
    return flask.Response(BODY, content_type="application/json")


def check_key(key: str) -> dict[str, str] | None:
    """The API key of /v1/kept."""
    return {"sub": "ada"} if key == "right" else None


def spec() -> dict[str, Any]:
    """OpenAPI 3.0, one operation open and one behind a key."""
    key = {"type": "apiKey", "in": "header", "name": "X-API-Key", "x-apikeyInfoFunc": f"{__name__}.check_key"}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Overhead", "version": "1"},
        "servers": [{"url": "/v1"}],
        "components": {"securitySchemes": {"key": key}},
        "paths": {
            "/things/{number}": {"get": _operation("open", [])},
            "/kept/{number}": {"get": _operation("kept", [{"key": []}])},
        },
    }


def _operation(operation_id: str, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    low, high = LIMITS
    limit = {"type": "integer", "minimum": low, "maximum": high, "default": 20}
    return {
        "operationId": operation_id,
        "security": security,
        "parameters": [
            {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}},
            {"name": "limit", "in": "query", "schema": limit},
        ],
        "responses": {"200": {"description": "A thing", "content": {"application/json": {}}}},
    }


def connexion_app() -> connexion.FlaskApp:
    """The same app for both ways through Connexion."""
    app = connexion.FlaskApp(__name__, server_args={"static_folder": None})
    resolver = connexion.Resolver(function_resolver=lambda _name: read)
    app.add_api(
        spec(), resolver=resolver, strict_validation=True, pythonic_params=True, validator_map=VALIDATORS
    )
    return app


# Requests


@dataclass(frozen=True)
class Case:
    """A request and the status of its answer."""

    name: str
    path: str
    query: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def scope(self) -> Scope:
        """The request as an ASGI server hands it over."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "root_path": "",
            "headers": [
                (b"host", b"127.0.0.1:8080"),
                (b"user-agent", b"overhead"),
                (b"accept", b"*/*"),
                *self.headers,
            ],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8080),
        }

    def request(self) -> Request:
        """The request as this project's handler takes it."""
        return _request_of_scope(self.scope())

    def environ(self) -> dict[str, Any]:
        """The request as a WSGI server hands it over."""
        return translate.environ_from_scope(self.scope(), b"")


CASES = (
    Case("plain", "/v1/things/7", b"limit=10", 200),
    Case("with a key", "/v1/kept/7", b"limit=10", 200, ((b"x-api-key", b"right"),)),
    Case("refused", "/v1/things/7", b"limit=9999", 400),
)


# The ways: each makes the inputs of a run beforehand, since a request is used up by answering it


@dataclass(frozen=True)
class Way:
    """`prepare` makes one input, `run` answers a list of them, `ask` answers one and tells what came."""

    name: str
    prepare: Callable[[Case], Any]
    run: Run
    ask: Callable[[Any], tuple[int, bytes]]


def ours(name: str, handler: Handler, prepare: Callable[[Case], Any], to_request: Any = None) -> Way:
    """This project's handler; `to_request` makes its input out of the prepared one, as part of the run."""
    make = to_request or (lambda request: request)

    def run(inputs: list[Any]) -> None:
        for each in inputs:
            response = handler(make(each))
            assert response.whole is not None
            response.close()

    def ask(given: Any) -> tuple[int, bytes]:
        response = handler(make(given))
        return response.status, response.whole or b""

    return Way(name, prepare, run, ask)


def _request_of_scope(scope: Scope) -> Request:
    return Request({**scope, "asgi": translate.IN_MEMORY})


def connexions_own(app: connexion.FlaskApp, runner: asyncio.Runner) -> Way:
    """Connexion's middleware and its bridge to Flask, as an ASGI server calls it."""

    def run(inputs: list[Any]) -> None:
        async def all_of_them() -> None:
            for scope in inputs:
                await _call(app, scope)

        runner.run(all_of_them())

    return Way("Connexion's own", Case.scope, run, lambda scope: runner.run(_call(app, scope)))


async def _call(app: Callable[..., Awaitable[None]], scope: Scope) -> tuple[int, bytes]:
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])
    status, sent = 0, []

    async def receive() -> dict[str, Any]:
        message = next(requests, None)
        if message is None:
            await asyncio.Event().wait()  # a client that waits for its answer
            raise AssertionError("unreachable")
        return message

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            sent.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(sent)


def bare_flask() -> Way:
    """The same two operations on Flask alone, their checks written into the views."""
    app = flask.Flask(__name__, static_folder=None)
    app.add_url_rule("/v1/things/<int:number>", "open", _checked)
    app.add_url_rule("/v1/kept/<int:number>", "kept", _keyed)
    return Way("bare Flask", Case.environ, _wsgi_run(app), lambda environ: _wsgi_call(app, environ))


def _checked(number: int) -> flask.Response:
    limit = flask.request.args.get("limit", 20, type=int)
    if not LIMITS[0] <= limit <= LIMITS[1]:
        return flask.Response(b'{"title":"Bad Request"}', 400, content_type="application/problem+json")
    return read(number, limit)


def _keyed(number: int) -> flask.Response:
    if check_key(flask.request.headers.get("X-API-Key", "")) is None:
        flask.abort(401)
    return _checked(number)


def _wsgi_run(app: flask.Flask) -> Run:
    def run(inputs: list[Any]) -> None:
        for environ in inputs:
            _wsgi_call(app, environ)

    return run


def _wsgi_call(app: flask.Flask, environ: dict[str, Any]) -> tuple[int, bytes]:
    started: list[int] = []
    result = app.wsgi_app(environ, lambda status, _headers, _exc_info=None: started.append(int(status[:3])))  # type: ignore[arg-type]
    try:
        body = b"".join(result)
    finally:
        getattr(result, "close", lambda: None)()
    return started[0], body


# Measuring


def check(ways: Sequence[Way]) -> None:
    """Leave, with what is wrong, unless every way gives every case the expected answer."""
    for way in ways:
        for case in CASES:
            status, body = way.ask(way.prepare(case))
            wrong_body = case.status == 200 and json.loads(body) != json.loads(BODY)
            if status != case.status or wrong_body:
                sys.exit(f"{way.name}, {case.name}: expected {case.status}, got {status} {body[:200]!r}")


def measure(way: Way, case: Case, requests: int) -> float:
    """Microseconds of CPU per request; making the inputs is not counted, nor is collecting them as garbage."""
    inputs = [way.prepare(case) for _ in range(requests)]
    gc.collect()
    gc.freeze()
    before = time.process_time()
    way.run(inputs)
    spent = time.process_time() - before
    gc.unfreeze()
    return spent / requests * 1e6


def table(ways: Sequence[Way], requests: int, repetitions: int) -> str:
    """Medians over the repetitions as Markdown, with the fastest of each in brackets."""
    spent: dict[tuple[str, str], list[float]] = {}
    for repetition in range(repetitions + 1):
        for way in ways:
            for case in CASES:
                value = measure(way, case, requests)
                if repetition:  # the first one warms up
                    spent.setdefault((way.name, case.name), []).append(value)
    lines = ["| µs of CPU per request | " + " | ".join(case.name for case in CASES) + " |"]
    lines.append("|---|" + "---:|" * len(CASES))
    for way in ways:
        cells = (_cell(spent[way.name, case.name]) for case in CASES)
        lines.append(f"| {way.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f})"


def profile(handler: Handler, case: Case, requests: int) -> None:
    """Print where this project's handler spends its time, by the profiler's own clock."""
    inputs = [case.request() for _ in range(requests)]
    profiler = cProfile.Profile()
    profiler.enable()
    for request in inputs:
        handler(request).close()
    profiler.disable()
    stats = pstats.Stats(profiler)
    stats.sort_stats("tottime").print_stats(40)


def main() -> None:
    arguments = _arguments()
    # Connexion writes a line for each request that it refuses.
    logging.getLogger("connexion").setLevel(logging.CRITICAL)
    handler = connexion_handler(connexion_app())
    if arguments.profile:
        case = next(case for case in CASES if case.name == arguments.profile)
        return profile(handler, case, arguments.requests)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ways = [
            ours("connexion_handler", handler, Case.request),
            ours("... and making its Request", handler, Case.scope, _request_of_scope),
            connexions_own(connexion_app(), runner),
            bare_flask(),
        ]
        check(ways)
        runs = f"{arguments.repetitions} repetitions of {arguments.requests} requests"
        print(f"Medians of {runs}, in brackets the fastest.\n")
        print(table(ways, arguments.requests, arguments.repetitions))
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500, help="in each repetition (default: 500)")
    parser.add_argument("--repetitions", type=int, default=7, help="(default: 7)")
    parser.add_argument("--profile", choices=[case.name for case in CASES], help="profile this case instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
