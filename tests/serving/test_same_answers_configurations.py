"""The same answers in apps that are set up in other ways: every option of Connexion's that changes one."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import connexion
import flask
import pytest
from connexion.jsonifier import Jsonifier
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from connexion.middleware import ConnexionMiddleware, MiddlewarePosition
from connexion.middleware.request_validation import RequestValidationMiddleware
from connexion.options import SwaggerUIOptions
from connexion.resolver import MethodResolver, MethodViewResolver, RelativeResolver, RestyResolver
from connexion.security import ApiKeySecurityHandler
from connexion.uri_parsing import AlwaysMultiURIParser, FirstValueURIParser
from connexion.validators import DefaultsJSONRequestBodyValidator, ParameterValidator
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.serving.calls.making import get, send, send_form, send_json
from tests.serving.conftest import sides_of
from tests.serving.gallery import HERE
from tests.serving.gallery.record import note
from tests.serving.sides import Call
from tests.serving.waiting.functions import caller

ANY = {"responses": {"200": {"description": "any", "content": {"application/json": {"schema": {}}}}}}
CONTROLLERS = "tests.serving.gallery.controllers"


def spec(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "info": {"title": "small", "version": "1"}, "paths": paths, **more}


def operation(name: str | None, *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {} if name is None else {"operationId": name if "." in name else f"{CONTROLLERS}.{name}"}
    return {**named, "parameters": list(parameters), **ANY, **more}


def parameter(name: str, where: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def json_body(**schema: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


TEXT = operation("text", parameter("text", "path", type="string", maxLength=5))
NUMBER = operation("number", parameter("number", "path", type="integer", maximum=10))
KEYED = operation("keyed", parameter("number", "query", type="integer"), security=[{"key": []}])
PERSON = operation(
    "person",
    requestBody=json_body(
        type="object",
        required=["name"],
        properties={"name": {"type": "string"}, "age": {"type": "integer", "default": 3}},
    ),
)
KEY = {
    "securitySchemes": {
        "key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Key",
            "x-apikeyInfoFunc": "tests.serving.gallery.guards.check_key",
        }
    }
}
SMALL = spec(
    {
        "/text/{text}": {"get": TEXT},
        "/number/{number}": {"get": NUMBER},
        "/key": {"get": KEYED},
        "/person": {"post": PERSON},
    },
    components=KEY,
)
SMALL_CALLS = (
    get("/text/abc"),
    get("/text/abcdef"),
    get("/number/5"),
    get("/number/11"),
    get("/number/x"),
    get("/key", X_Key="ada-key"),
    get("/key?number=x", X_Key="ada-key"),
    get("/key?unknown=1", X_Key="ada-key"),
    get("/key"),
    send_json("/person", {"name": "Ada"}),
    send_json("/person", {}),
    get("/person", "DELETE"),
    get("/nowhere"),
    get("/nowhere", X_Key="ada-key"),
)


@dataclass(frozen=True)
class Setup:
    """A way to make an app, and what to ask it."""

    make: Callable[[], connexion.FlaskApp]
    calls: Iterable[Call]


SETUPS: dict[str, Setup] = {}


def setup(*calls: Call) -> Callable[[Callable[[], connexion.FlaskApp]], Callable[[], connexion.FlaskApp]]:
    def register(make: Callable[[], connexion.FlaskApp]) -> Callable[[], connexion.FlaskApp]:
        SETUPS[make.__name__] = Setup(make, calls)
        return make

    return register


def app_of(
    specification: Any = SMALL, /, app_options: dict[str, Any] | None = None, **options: Any
) -> connexion.FlaskApp:
    app = connexion.FlaskApp(__name__, specification_dir=HERE, **(app_options or {}))
    app.add_api(specification, **options)
    return app


# Options of Connexion's


@setup(*SMALL_CALLS)
def without_options():
    return app_of()


@setup(*SMALL_CALLS)
def options_of_the_app():
    return app_of(
        app_options={"strict_validation": True, "pythonic_params": True, "validate_responses": True}
    )


@setup(*SMALL_CALLS)
def authentication_of_all_paths():
    return app_of({**SMALL, "security": [{"key": []}]}, auth_all_paths=True)


MANY = (
    get("/old/query?flag=true&commas=1,2&commas=3&text=a&text=b&piped=a|b&piped=c"),
    get("/old/query?flag=true&multi=1&multi=2"),
    send_form("/old/form", ("name", "a"), ("name", "b"), ("tags", "x"), ("tags", "y,z")),
)


@setup(*MANY)
def first_value_of_many():
    return app_of("old.yaml", uri_parser_class=FirstValueURIParser)


@setup(*MANY)
def all_values_of_many():
    return app_of("old.yaml", uri_parser_class=AlwaysMultiURIParser)


@setup(*SMALL_CALLS)
def own_json_writer():
    return app_of(jsonifier=Jsonifier(json, separators=(",", ":"), sort_keys=True, cls=json.JSONEncoder))


BOOKS = {
    "get": operation(None, parameter("limit", "query", type="integer")),
    "post": operation(None, requestBody=json_body(type="object")),
}
BOOK = {"get": operation(None, parameter("number", "path", type="integer"))}
BOOK_CALLS = (
    get("/resty"),
    get("/resty?limit=5"),
    get("/resty/5"),
    get("/resty/x"),
    send_json("/resty", {"a": 1}),
    get("/resty", "DELETE"),
)


@setup(*BOOK_CALLS)
def names_by_rest():
    resolver = RestyResolver("tests.serving.gallery")
    return app_of(spec({"/resty": BOOKS, "/resty/{number}": BOOK}), resolver=resolver)


@setup(
    get("/books"), get("/books?limit=5"), get("/books/5"), send_json("/books", {"a": 1}), get("/books", "PUT")
)
def methods_of_a_class():
    arguments = {"tests.serving.gallery.resty.BooksView": {"kwargs": {"shelf": "top"}}}
    resolver = MethodResolver("tests.serving.gallery.resty", class_arguments=arguments)
    return app_of(spec({"/books": BOOKS, "/books/{number}": BOOK}), resolver=resolver)


@setup(
    get("/books"), get("/books?limit=5"), get("/books/5"), send_json("/books", {"a": 1}), get("/books", "PUT")
)
def method_views():
    resolver = MethodViewResolver("tests.serving.gallery.resty")
    return app_of(spec({"/books": BOOKS, "/books/{number}": BOOK}), resolver=resolver)


@setup(get("/n"))
def relative_names():
    return app_of(
        spec({"/n": {"get": {"operationId": "nothing", **ANY}}}), resolver=RelativeResolver(CONTROLLERS)
    )


@setup(get("/there/abc"), get("/missing"), get("/missing", "POST"))
def missing_controller():
    paths = {"/there/{text}": {"get": TEXT}, "/missing": {"get": operation("does_not_exist")}}
    return app_of(spec(paths), resolver_error=501)


@setup(get("/missing"), get("/key", X_Key="ada-key"))
def missing_security_function():
    schemes = {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}}
    return app_of(spec({"/key": {"get": KEYED}}, components=schemes))


class AnyKey(ApiKeySecurityHandler):
    """Takes everybody who has a key for its owner."""

    def _get_verify_func(self, api_key_info_func: Any, loc: Any, name: str, required_scopes: Any) -> Any:
        def verify(request: ConnexionRequest) -> Any:
            note("AnyKey", key=request.headers.get(name))
            return {"sub": request.headers.get(name, "nobody")}

        return verify


@setup(*SMALL_CALLS)
def own_security_handler():
    return app_of(security_map={"apiKey": AnyKey})


@setup(
    send_json("/person", {"name": "Ada"}),
    send_json("/person", {"name": "Ada", "age": 5}),
    send_json("/person", {}),
)
def defaults_filled_in():
    return app_of(validator_map={"body": {"application/json": DefaultsJSONRequestBodyValidator}})


MERGED = "application/merge-patch+json"
NO_VALIDATOR_CALLS = (
    send_json("/person", {"name": "Ada"}),
    send_json("/person", []),
    send("/person", b'{"name": "Ada"}', MERGED),
    send("/person", b'{"name": "Ada"}', "application/json; charset=utf-8"),
    send("/person", b"", None),
)


def _person_by_name(kind: str) -> dict[str, Any]:
    return spec({"/person": {"post": {**PERSON, "requestBody": {"content": {kind: {"schema": {}}}}}}})


@setup(*NO_VALIDATOR_CALLS)
def body_without_a_validator():
    only_json = {"application/json": DefaultsJSONRequestBodyValidator}
    return app_of(_person_by_name(MERGED), validator_map={"body": only_json})


@setup(*NO_VALIDATOR_CALLS)
def body_whose_name_has_a_charset():
    return app_of(_person_by_name("application/json; charset=utf-8"))


class NoLongNumbers(ParameterValidator):
    """Refuses what the spec allows."""

    def validate_path_parameter(self, param: dict[str, Any], request: ConnexionRequest) -> str | None:
        if request.path_params.get("number", 0) > 7:
            return "too long for me"
        return super().validate_path_parameter(param, request)


@setup(get("/number/5"), get("/number/8"), get("/number/11"))
def own_parameter_validator():
    return app_of(validator_map={"parameter": NoLongNumbers})


@setup(get("/ui/"), get("/openapi.json"), get("/openapi.yaml"), get("/text/abc"))
def no_swagger_ui():
    return app_of(swagger_ui_options=SwaggerUIOptions(swagger_ui=False))


@setup(get("/docs/"), get("/docs"), get("/ui/"), get("/spec.json"), get("/openapi.json"), get("/text/abc"))
def swagger_ui_elsewhere():
    options = SwaggerUIOptions(
        swagger_ui_path="/docs", spec_path="/spec.json", swagger_ui_config={"deepLinking": True}
    )
    return app_of(swagger_ui_options=options)


@setup(get("/titled/abc"), get("/titled/openapi.json"))
def arguments_of_the_spec():
    return app_of({**SMALL, "servers": [{"url": "/{{ name }}"}]}, arguments={"name": "titled"})


@setup(
    get("/a/text/abc"),
    get("/a/b/text/abc"),
    get("/a/b"),
    get("/a/text/b"),
    get("/a/nowhere"),
    get("/text/abc"),
)
def base_paths_within_each_other():
    app = app_of(base_path="/a")
    app.add_api(SMALL, base_path="/a/b")
    return app


@setup(get("/v1/text/abc"), get("/v1/items/1,2"), get("/v1/nowhere"), get("/v1/text/abc", "POST"))
def two_specs_at_one_place():
    app = app_of(base_path="/v1")
    path = {
        "/items/{items}": {
            "get": operation("items", parameter("items", "path", type="array", items={"type": "integer"}))
        }
    }
    app.add_api(spec(path), base_path="/v1", name="second")
    return app


@setup(get("/"), get(""), get("/text/abc"), get("//text/abc"))
def base_path_of_a_slash():
    return app_of(base_path="/")


@setup(get("/by/one/fixed"), get("/by/one/other"), get("/by/two/fixed"), get("/by/two/5"), get("/by/two/x"))
def overlapping_paths():
    fixed = {"get": operation("nothing")}
    return app_of(
        spec(
            {
                "/by/one/fixed": fixed,
                "/by/one/{text}": {"get": TEXT},
                "/by/two/{number}": {"get": NUMBER},
                "/by/two/x": {"get": operation("no_slash")},
            }
        )
    )


# Layers around and inside


class Stamp:
    """Puts a header on each answer, and a value into the context."""

    def __init__(self, app: ASGIApp, word: str = "stamped") -> None:
        self.app = app
        self.word = word

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", self.word.encode())]
            await send(message)

        if scope["type"] == "http":
            note(
                "stamp",
                word=self.word,
                path=scope["path"],
                routed="connexion_routing" in scope.get("extensions", {}),
            )
            scope.setdefault("extensions", {}).setdefault("connexion_context", {})["injected"] = self.word
        await self.app(scope, receive, stamped)


def _with_stamp(position: MiddlewarePosition) -> connexion.FlaskApp:
    app = app_of(spec({**SMALL["paths"], "/injected": {"get": operation("keywords")}}, components=KEY))
    app.add_middleware(Stamp, position, word=position.name)
    return app


for _position in MiddlewarePosition:
    SETUPS[f"middleware {_position.name}"] = Setup(
        lambda position=_position: _with_stamp(position), (*SMALL_CALLS, get("/injected"))
    )


class Refuse:
    """Answers by itself what asks for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if b"x-refuse" in headers:
            raise HTTPException(409, "refused", headers={"X-Why": "asked"})
        if b"x-answer" in headers:
            await send(
                {"type": "http.response.start", "status": 299, "headers": [(b"content-type", b"text/plain")]}
            )
            await send({"type": "http.response.body", "body": b"answered"})
            return
        await self.app(scope, receive, send)


@setup(
    get("/text/abc", X_Refuse="1"),
    get("/text/abc", X_Answer="1"),
    get("/text/abc"),
    get("/text/abcdef", X_Answer="1"),
)
def middleware_that_answers():
    app = app_of()
    app.add_middleware(Refuse, MiddlewarePosition.BEFORE_VALIDATION)
    return app


@setup(*SMALL_CALLS)
def no_request_validation():
    middlewares = [m for m in ConnexionMiddleware.default_middlewares if m is not RequestValidationMiddleware]
    return app_of(app_options={"middlewares": middlewares})


class WsgiStamp:
    def __init__(self, app: Any, word: str) -> None:
        self.app = app
        self.word = word

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        note("wsgi stamp", path=environ["PATH_INFO"], routed="asgi.scope" in environ)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("X-Wsgi", self.word)])

        return self.app(environ, start)


@setup(*SMALL_CALLS)
def wsgi_middleware():
    app = app_of()
    app.add_wsgi_middleware(WsgiStamp, word="inner")
    app.add_wsgi_middleware(WsgiStamp, word="outer")
    return app


# What waits for an event loop

WAITING = "tests.serving.waiting.functions"
WAITERS = ("synchronous", "with_a_loop", "asynchronous")


def _waiting(check: str = "check", /, **options: Any) -> connexion.FlaskApp:
    """An app with controllers of all kinds, which anybody may ask who has a key to the taste of `check`."""
    key = {"type": "apiKey", "in": "header", "name": "X-Key", "x-apikeyInfoFunc": f"{WAITING}.{check}"}
    paths: dict[str, Any] = {
        f"/{name}": {"get": operation(f"{WAITING}.{name}", security=[{"key": []}, {}])} for name in WAITERS
    }
    paths["/reads"] = {"post": operation(f"{WAITING}.reads", requestBody=json_body(type="object"))}
    paths["/text/{text}"] = {"get": TEXT}
    return app_of(spec(paths, components={"securitySchemes": {"key": key}}), **options)


WAITING_CALLS = (
    *(get(f"/{name}", **key) for name in WAITERS for key in ({}, {"X_Key": "ada"}, {"X_Key": "wrong"})),
    get("/asynchronous", "HEAD"),
    send_json("/reads", {"a": 1}),
    send_json("/reads", []),
    get("/text/abcdef"),
    get("/nowhere"),
)

for _check in ("check", "decorated_check", "returns_a_coroutine", "object_check"):
    SETUPS[f"security function {_check}"] = Setup(lambda check=_check: _waiting(check), WAITING_CALLS)


async def _mark(request: Any, call_next: Any) -> Any:
    await asyncio.sleep(0)
    caller.set("set by the middleware")
    note("mark", path=request.url.path)
    answer = await call_next(request)
    answer.headers["X-Mark"] = "marked"
    return answer


class Waits:
    """Waits before and after."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        caller.set("set by the middleware")
        await self.app(scope, receive, send)
        await asyncio.sleep(0)


def _with_waiting(middleware: Any, position: MiddlewarePosition, **options: Any) -> connexion.FlaskApp:
    app = _waiting()
    app.add_middleware(middleware, position, **options)
    app.add_error_handler(404, _told("404"))
    return app


for _position in (MiddlewarePosition.BEFORE_EXCEPTION, MiddlewarePosition.BEFORE_CONTEXT):
    SETUPS[f"middleware that waits {_position.name}"] = Setup(
        lambda position=_position: _with_waiting(Waits, position), WAITING_CALLS
    )


@setup(*WAITING_CALLS)
def middleware_of_starlettes():
    return _with_waiting(BaseHTTPMiddleware, MiddlewarePosition.BEFORE_EXCEPTION, dispatch=_mark)


async def _answers_late(request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
    await asyncio.sleep(0)
    note("answers late", exc=type(exc), path=request.url.path)
    return ConnexionResponse(getattr(exc, "status_code", 500), content_type="text/plain", body="late")


@setup(*WAITING_CALLS, *SMALL_CALLS)
def error_handlers_that_wait():
    app = _waiting(validate_responses=True)
    app.add_error_handler(404, _answers_late)
    app.add_error_handler(connexion.exceptions.BadRequestProblem, lambda *what: _answers_late(*what))
    return app


@setup(*WAITING_CALLS)
def validated_answers_of_what_waits():
    return _waiting(validate_responses=True)


# What is checked before it is sent


def _measured(text: str) -> Any:
    def answer() -> flask.Response:
        return flask.Response(text, content_type="application/json")

    return answer


def _streamed(text: str) -> Any:
    def answer() -> flask.Response:
        def pieces() -> Any:
            note("begins")
            yield text[:9]
            yield text[9:]

        answered = flask.Response(pieces(), content_type="application/json")
        answered.call_on_close(lambda: note("closed"))
        return answered

    return answer


_NAME, _NO_NAME = '{"name": "Ada"}', '{"name": 5}'
large_name, large_no_name = (_measured(text + " " * 2_000_000) for text in (_NAME, _NO_NAME))
streamed_name, streamed_no_name = _streamed(_NAME), _streamed(_NO_NAME)
CHECKED = ("large_name", "large_no_name", "streamed_name", "streamed_no_name")


def _checked(**options: Any) -> connexion.FlaskApp:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    answers = {"200": {"description": "a name", "content": {"application/json": {"schema": schema}}}}
    paths = {
        f"/{name}": {"get": {"operationId": f"{__name__}.{name}", "responses": answers}} for name in CHECKED
    }
    return app_of(spec(paths), **options)


@setup(*(get(f"/{name}") for name in CHECKED))
def answers_checked_as_a_whole():
    return _checked(validate_responses=True)


@setup(*(get(f"/{name}") for name in CHECKED))
def unchecked_answers_through_middleware():
    app = _checked()
    app.add_middleware(BaseHTTPMiddleware, MiddlewarePosition.BEFORE_EXCEPTION, dispatch=_mark)
    return app


# Error handlers


def _told(word: str) -> Callable[[ConnexionRequest, Exception], ConnexionResponse]:
    def handle(request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
        note(word, exc=type(exc), status=getattr(exc, "status_code", None), path=request.url.path)
        return ConnexionResponse(getattr(exc, "status_code", 500), content_type="text/plain", body=word)

    return handle


@setup(
    *SMALL_CALLS,
    get("/raise/value-error"),
    get("/raise/problem"),
    get("/raise/not-found"),
    get("/raise/own-special"),
)
def own_error_handlers():
    raising = operation("tests.serving.gallery.answers.raising", parameter("kind", "path", type="string"))
    app = app_of(spec({**SMALL["paths"], "/raise/{kind}": {"get": raising}}, components=KEY))
    app.add_error_handler(404, _told("404"))
    app.add_error_handler(405, _told("405"))
    app.add_error_handler(connexion.exceptions.BadRequestProblem, _told("bad request"))
    app.add_error_handler(connexion.exceptions.ProblemException, _told("problem"))
    app.add_error_handler(Exception, _told("any"))
    return app


@setup(*SMALL_CALLS)
def own_handler_of_http_errors():
    app = app_of()
    app.add_error_handler(HTTPException, _told("http"))
    return app


# Flask's side


@setup(*SMALL_CALLS, get("/plain/x"), get("/plain/5", "POST"), get("/static/old.yaml"), get("/static/none"))
def rules_outside_the_spec():
    app = app_of(app_options={"server_args": {"static_folder": str(HERE)}})
    app.add_url_rule("/plain/<name>", "plain", lambda name: {"name": name}, methods=["GET", "POST"])
    return app


class OwnRequest(flask.Request):
    @property
    def shout(self) -> str:
        return self.path.upper()


class OwnResponse(flask.Response):
    default_mimetype = "text/x-own"


@setup(*SMALL_CALLS, get("/shout"))
def own_classes_of_flask():
    app = app_of()
    app.app.request_class = OwnRequest
    app.app.response_class = OwnResponse
    app.add_url_rule("/shout", "shout", lambda: flask.request.shout)
    return app


@setup(*SMALL_CALLS)
def hooks_of_the_blueprint():
    app = app_of()
    for name in (None, "/"):
        _add_hooks(app.app, name)
    return app


def _add_hooks(app: flask.Flask, blueprint: str | None) -> None:
    """Hooks for all of the app, or for the blueprint that Connexion makes of an API."""
    app.before_request_funcs[blueprint].append(lambda: note("before", of=blueprint))
    app.after_request_funcs[blueprint].append(lambda answer: note("after", of=blueprint) or answer)
    app.teardown_request_funcs[blueprint].append(lambda exc: note("teardown", of=blueprint, exc=exc))
    app.url_value_preprocessors[blueprint].append(
        lambda endpoint, values: note("values", of=blueprint, endpoint=endpoint, values=values)
    )


@setup(*SMALL_CALLS)
def hook_that_changes_arguments():
    app = app_of()

    @app.app.url_value_preprocessor
    def change(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values and "text" in values:
            values["text"] = "changed"

    return app


@setup(
    send_json("/person", {"name": "x" * 200}), send_json("/person", {"name": "x"}), send_json("/person", {})
)
def limit_of_the_body():
    app = app_of()
    app.app.config["MAX_CONTENT_LENGTH"] = 100
    return app


@setup(*SMALL_CALLS, get("/nowhere"))
def handlers_of_flask():
    app = app_of()
    app.app.register_error_handler(404, lambda exc: ({"flask": exc.code}, 404))
    app.app.register_error_handler(Exception, lambda exc: ({"flask": type(exc).__name__}, 500))
    return app


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS.keys())
def test_apps_answer_alike(setup: Setup, event_loop: asyncio.Runner):
    sides = sides_of(setup.make(), setup.make(), event_loop)
    found = [text for call in setup.calls for text in sides.differences(call)]
    assert not found, "\n\n".join(found)
