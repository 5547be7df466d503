"""One operation of a spec, compiled: what Connexion works out for every request is worked out once, at start.

Owns the order of the steps: security, parameters, body, and then the controller on Flask's side.
"""

import functools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from connexion.context import _context, _operation, _receive, _scope
from connexion.decorators.parameter import CONTEXT_NAME
from connexion.lifecycle import ConnexionRequest
from werkzeug.routing import Rule
from werkzeug.sansio.response import Response as FlaskResponse

from swagger_server.serving.body import JsonBody, SpooledBody
from swagger_server.serving.exchange import Exchange, WholeBody
from swagger_server.serving.flask_side import FlaskSide
from swagger_server.serving.messages import Request, Response
from swagger_server.serving.parameters import Parameters
from swagger_server.serving.stepping import run_now
from swagger_server.serving.translate import Environ

Verify = Callable[[ConnexionRequest], Coroutine[Any, Any, None]]
Body = JsonBody | SpooledBody


@dataclass(frozen=True, slots=True)
class Controller:
    """The function that answers, and how it wants to be called."""

    function: Callable[..., Any]
    arguments: frozenset[str]
    """The names of its arguments."""
    body_argument: str | None
    """The one that takes the body; None where it takes none."""
    finish: Callable[[Any], Any]
    """Makes a Flask response of what it returns."""

    def call(self, values: dict[str, Any], context: Mapping[str, Any], body: Body | None) -> Any:
        """The response to a request with these parameters; `context` is what the security functions told."""
        for name, value in context.items():
            if name in self.arguments:
                values[name] = value
        if CONTEXT_NAME in self.arguments:
            values[CONTEXT_NAME] = context
        if isinstance(body, JsonBody) and self.body_argument is not None:
            values[self.body_argument] = body.for_controller()
        answer = self.function(**values)
        return answer if isinstance(answer, FlaskResponse) else self.finish(answer)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that answers on the calling thread, without an event loop."""

    operation_id: str
    base_path: str
    described: Any
    """Connexion's description of it, as `connexion.operation` shows it."""
    verify: Verify | None
    parameters: Parameters
    body: Body | None
    controller: Controller
    rule: Rule
    flask: FlaskSide

    def takes(self, request: Request) -> bool:
        """Whether this request can be answered here; another one goes Connexion's own way."""
        if request.header("upgrade") is not None or not _is_host(request.header("host") or ""):
            return False
        return not request.body if self.body is None else self.body.takes(request)

    def check(self, request: Request, path_values: dict[str, Any]) -> dict[str, Any]:
        """The parameters by the names of the controller's arguments.

        Raises what security functions raise, and connexion.exceptions.BadRequestProblem.
        """
        values = self._check_head(request, path_values)
        if self.body is not None:
            self.body.check(request)
        scope = request.scope
        _context.set(scope["extensions"].get("connexion_context", {}))
        _operation.set(self.described)
        _receive.set(WholeBody() if self.body is None else Exchange(request).receive)
        _scope.set(scope)
        return values

    def admit(self, request: Request, path_values: dict[str, Any]) -> None:
        """Check what `check` does, as far as that can be done without the body; raises the same."""
        self._check_head(request, path_values)
        if isinstance(self.body, SpooledBody):
            self.body.check_type(request)

    def _check_head(self, request: Request, path_values: dict[str, Any]) -> dict[str, Any]:
        scope = request.scope
        request.route(self.base_path, self.operation_id)
        scope.setdefault("path_params", {}).update(path_values)
        if self.verify is not None:
            run_now(self.verify(ConnexionRequest(scope)))
        return self.parameters(path_values, request)

    def answer(self, request: Request, path_values: dict[str, Any], values: dict[str, Any]) -> Response:
        """What the controller answers; raises what it and Flask's error handlers leave unhandled."""
        return self.flask.run(
            lambda: _environ_of(request),
            self.rule,
            dict(path_values),
            lambda: self.controller.call(dict(values), _context.get(), self.body),
        )


def _environ_of(request: Request) -> Environ:
    """A copy of the environ, whose body is to be read from its beginning, also where that was done before."""
    environ = {**request.environ, "asgi.scope": request.scope}
    environ["wsgi.input"].seek(0)
    return environ


@functools.lru_cache(maxsize=256)
def _is_host(name: str) -> bool:
    """Whether Werkzeug takes the name of a host; it refuses others while it looks for the URL rule."""
    try:
        name.partition(":")[0].encode("idna")
    except UnicodeError:
        return False
    return True
