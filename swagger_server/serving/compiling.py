"""From a Connexion app to the table of its compiled operations.

Owns which operations are compiled: those of OpenAPI 3 whose every step is known here and waits for nothing. All
others (uploads, forms, asynchronous functions, validated responses, whatever an app has put into the stack) are
left to Connexion's middleware, and so is an app that was changed in a way that this cannot follow.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import connexion
import flask
from connexion.apps.flask import FlaskASGIApp, FlaskOperation
from connexion.decorators.parameter import inspect_function_arguments, pythonic, sanitized, unwrap_decorators
from connexion.decorators.response import SyncResponseDecorator
from connexion.frameworks.flask import Flask as FlaskFramework
from connexion.lifecycle import ConnexionResponse
from connexion.middleware import ConnexionMiddleware
from connexion.middleware.context import ContextMiddleware
from connexion.middleware.exceptions import ExceptionMiddleware
from connexion.middleware.request_validation import RequestValidationMiddleware, RequestValidationOperation
from connexion.middleware.routing import RoutingMiddleware
from connexion.middleware.security import SecurityMiddleware, SecurityOperation
from connexion.middleware.server_error import ServerErrorMiddleware
from connexion.middleware.swagger_ui import SwaggerUIMiddleware
from connexion.operations import OpenAPIOperation
from connexion.validators import VALIDATOR_MAP
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute
from werkzeug.routing import Rule

from swagger_server.serving.body import SpooledBody, compile_body
from swagger_server.serving.flask_side import FlaskSide
from swagger_server.serving.operation import Controller, Operation
from swagger_server.serving.parameters import compile_parameters
from swagger_server.serving.routes import REST, Route, Routes, Segment, Template, overlap
from swagger_server.serving.suspending import secures_asynchronously

_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH"})


def compile_operations(app: connexion.FlaskApp, stack: Sequence[Any]) -> Routes[Operation]:
    """The operations of the app that can be compiled; `stack` is its middleware, built."""
    if not _is_plain(app.app, app.middleware):
        return Routes([], [])
    return _Compiler(app.app, app.middleware, stack).routes()


def _is_plain(flask_app: flask.Flask, middleware: ConnexionMiddleware) -> bool:
    """Whether nothing stands in the way of a request but what Connexion and Flask put there."""
    end = middleware.app
    # All but those that answer exceptions, which is done outside.
    expected = set(ConnexionMiddleware.default_middlewares) - {ServerErrorMiddleware, ExceptionMiddleware}
    return (
        type(flask_app) is flask.Flask
        and type(end) is FlaskASGIApp
        and end.asgi_app.app == flask_app.wsgi_app
        and expected == set(middleware.middlewares)
        and not flask_app.url_value_preprocessors
        and not (flask_app.url_map.host_matching or flask_app.subdomain_matching)
        and flask_app.config["SERVER_NAME"] is flask_app.config["TRUSTED_HOSTS"] is None
    )


class _Compiler:
    def __init__(self, app: flask.Flask, middleware: ConnexionMiddleware, stack: Sequence[Any]) -> None:
        self._app = app
        self._flask = FlaskSide(app)
        self._security = _one(stack, SecurityMiddleware)
        self._validation = _one(stack, RequestValidationMiddleware)
        self._context = _one(stack, ContextMiddleware)
        self._mounts: list[Mount] = _one(stack, RoutingMiddleware).router.routes
        self._pages: list[Mount] = _one(stack, SwaggerUIMiddleware).router.routes
        self._apis = list(middleware.apis)
        self._rules = dict(self._flask_rules())

    def routes(self) -> Routes[Operation]:
        compiled: list[Route[Operation]] = []
        others = [template for template, _ in self._other_rules()] + list(_page_templates(self._pages))
        for mount in self._mounts:
            for route in _routes_of(mount):
                template = _template(mount.path + route.path, _starlette_segment)
                target = self._compile(mount, route, template)
                if target is None:
                    others.append(template)
                else:
                    compiled.append(_placed(target, template, mount.path, route))
        return Routes(compiled, others)

    def _compile(self, mount: Mount, route: StarletteRoute, template: Template) -> Operation | None:
        operation_id: str = route.endpoint.operation_id  # type: ignore[attr-defined]  # a RoutingOperation
        method = (set(route.methods or ()) - {"HEAD"} or {"HEAD"}).pop()
        rule = self._rules.get((operation_id, method, template))
        if (
            rule is None
            or method not in _METHODS
            or not self._is_certain(mount, route, template, method, rule)
        ):
            return None
        if any(_is_left_to_connexion(api) for api in self._apis if api.specification.base_path == mount.path):
            return None
        secured: SecurityOperation = _find(self._security.apis.get(mount.path, ()), operation_id)
        validated: RequestValidationOperation = _find(self._validation.apis.get(mount.path, ()), operation_id)
        described = _find(self._context.apis.get(mount.path, ()), operation_id)
        if secured is None or validated is None or described is None:
            return None
        return self._assemble(rule, mount.path, secured, validated, described.operation)

    def _assemble(
        self,
        rule: Rule,
        base_path: str,
        secured: SecurityOperation,
        validated: RequestValidationOperation,
        described: Any,
    ) -> Operation | None:
        view = self._app.view_functions[rule.endpoint]
        if type(described) is not OpenAPIOperation or not isinstance(view, FlaskOperation):
            return None
        if validated._validator_map["parameter"] is not VALIDATOR_MAP["parameter"]:
            return None
        controller = _controller(view, described)
        if controller is None:
            return None
        names = pythonic if view.pythonic_params else sanitized
        parameters = compile_parameters(
            described,
            strict=validated.strict_validation,
            security_query_params=validated.security_query_params,
            arguments=controller.arguments,
            argument_name=lambda name: names(names(name)),
        )
        body = compile_body(described, validated._validator_map["body"])
        if parameters is None or (body is None and described.is_request_body_defined):
            return None
        if isinstance(body, SpooledBody) and controller.body_argument is not None:
            return None  # it wants the body in memory all the same, which is what Connexion gives
        return Operation(
            operation_id=view.operation_id,
            base_path=base_path,
            described=described,
            verify=secured.verification_fn if secured.security else None,
            parameters=parameters,
            body=body,
            controller=controller,
            rule=rule,
            flask=self._flask,
        )

    def _is_certain(
        self, mount: Mount, route: StarletteRoute, template: Template, method: str, rule: Rule
    ) -> bool:
        """Whether both routers surely lead here: no other API's prefix, and for a fixed path by asking both."""
        for other in self._mounts:
            prefix = _template(other.path, _starlette_segment) if other.path else ()
            if len(other.path) > len(mount.path) and overlap((*prefix, Segment(None, REST)), template):
                return False
        if any(segment.text is None for segment in template):
            return all(segment.kind != REST for segment in template)
        first = next(each for each in _routes_of(mount) if _fits(each, method, route.path))
        found, _ = self._app.url_map.bind("localhost").match(
            mount.path + route.path, method=method, return_rule=True
        )
        return first is route and found is rule

    def _flask_rules(self) -> Iterator[tuple[tuple[str, str, Template], Rule]]:
        for rule in self._app.url_map.iter_rules():
            view = self._app.view_functions[rule.endpoint]
            if isinstance(view, FlaskOperation):
                template = _template(rule.rule, _flask_segment)
                for method in rule.methods or ():
                    yield (view.operation_id, method, template), rule

    def _other_rules(self) -> Iterator[tuple[Template, Rule]]:
        for rule in self._app.url_map.iter_rules():
            if not isinstance(self._app.view_functions.get(rule.endpoint), FlaskOperation):
                yield _template(rule.rule, _flask_segment), rule


def _controller(view: FlaskOperation, described: OpenAPIOperation) -> Controller | None:
    """How the controller is called; None for one that is asynchronous or takes whatever comes."""
    function = unwrap_decorators(view._fn)
    arguments, takes_any = inspect_function_arguments(function)
    names = pythonic if view.pythonic_params else sanitized
    placed = {
        name for each in described.parameters if each["in"] == "path" for name in [names(names(each["name"]))]
    }
    if takes_any or asyncio.iscoroutinefunction(view._fn) or not placed.issubset(arguments):
        return None
    body = names(described.body_name(None))
    takes_body = described.is_request_body_defined and body in arguments
    return Controller(
        function=view._fn,
        arguments=frozenset(arguments),
        body_argument=names(body) if takes_body else None,
        finish=_Finish(view.jsonifier),
    )


class _Finish(SyncResponseDecorator):  # type: ignore[misc]  # Connexion has no types
    """Connexion's making of a response from what a controller returns."""

    def __init__(self, jsonifier: Any) -> None:
        super().__init__(framework=FlaskFramework, jsonifier=jsonifier)

    def __call__(self, answer: Any) -> Any:
        if isinstance(answer, ConnexionResponse):
            return FlaskFramework.connexion_to_framework_response(answer)
        return self.build_framework_response(answer)


def _is_left_to_connexion(api: Any) -> bool:
    return bool(api.kwargs.get("validate_responses")) or secures_asynchronously(api)


def _one(stack: Iterable[Any], kind: type) -> Any:
    return next(each for each in stack if isinstance(each, kind))


def _find(apis: Iterable[Any], operation_id: str) -> Any:
    return next((api.operations[operation_id] for api in apis if operation_id in api.operations), None)


def _routes_of(mount: Mount) -> list[StarletteRoute]:
    return [route for route in mount.app.routes if isinstance(route, StarletteRoute)]  # type: ignore[attr-defined]


def _fits(route: StarletteRoute, method: str, path: str) -> bool:
    return method in (route.methods or ()) and route.path_regex.match(path) is not None


def _placed(target: Operation, template: Template, base_path: str, route: StarletteRoute) -> Route[Operation]:
    (method,) = set(route.methods or ()) - {"HEAD"}
    whole = re.compile(f"^{re.escape(base_path)}{route.path_regex.pattern.removeprefix('^')}")
    converters = {name: converter.convert for name, converter in route.param_convertors.items()}
    return Route(method, template, whole.match, converters, target)


def _page_templates(mounts: Iterable[Mount]) -> Iterator[Template]:
    """Where Swagger UI and the specification are."""
    for mount in mounts:
        for route in mount.app.routes:  # type: ignore[attr-defined]
            template = _template(mount.path + route.path, _starlette_segment)
            yield (*template, Segment(None, REST)) if isinstance(route, Mount) else template


def _template(path: str, segment: Any) -> Template:
    return tuple(segment(text) for text in path.split("/")[1:])


def _starlette_segment(text: str) -> Segment:
    if "{" not in text:
        return Segment(text)
    return Segment(None, text[1:-1].partition(":")[2] or "str")


_FLASK_KINDS = {"int": "int", "float": "float", "string": "str", "default": "str", "uuid": "str", "": "str"}


def _flask_segment(text: str) -> Segment:
    if "<" not in text and ">" not in text:
        return Segment(text)
    kind = text[1:-1].rpartition(":")[0]
    return Segment(None, _FLASK_KINDS.get(kind, REST))
