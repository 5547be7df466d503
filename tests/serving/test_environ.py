"""What a WSGI server says of a request reaches every view, whichever way the request goes."""

import connexion
import pytest
from flask import request
from werkzeug.test import create_environ, run_wsgi_app

from swagger_server.serving import Application, connexion_handler

SPEC = {
    "openapi": "3.0.3",
    "info": {"title": "Environ", "version": "1"},
    "paths": {
        "/compiled": {"get": {"operationId": "any", "responses": {"200": {"description": "who asks"}}}}
    },
}


def who() -> str:
    return f"{request.environ.get('REMOTE_USER')} {request.environ['wsgi.multithread']}"


@pytest.mark.parametrize("path", ["/compiled", "/view"])
def test_the_servers_own_variables_are_seen(path: str) -> None:
    api = connexion.FlaskApp(__name__, server_args={"static_folder": None})
    api.add_api(SPEC, resolver=connexion.Resolver(function_resolver=lambda _name: who))
    api.app.add_url_rule("/view", view_func=who)
    environ = create_environ(path) | {"REMOTE_USER": "ada", "wsgi.multithread": False}
    body, status, _ = run_wsgi_app(Application(connexion_handler(api)), environ)
    assert (b"".join(body).strip(b'"\n'), status) == (b"ada False", "200 OK")
