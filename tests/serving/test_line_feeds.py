"""A line feed in a path hides no operation: who calls, and with what, is checked."""

import connexion
import pytest

from swagger_server.serving import VALIDATORS, Application, connexion_handler
from tests.serving.sides import Call, Side, wsgi_side

KEY = {
    "type": "apiKey",
    "in": "header",
    "name": "X-Key",
    "x-apikeyInfoFunc": "tests.serving.gallery.guards.check_key",
}
NAME = {
    "name": "some-name",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[a-z]+$"},
}
NAMED = {
    "operationId": "tests.serving.gallery.controllers.some_name",
    "parameters": [NAME],
    "responses": {"200": {"description": "the name"}},
}
SECURED = {**NAMED, "security": [{"key": []}]}
SPEC = {
    "openapi": "3.0.0",
    "info": {"title": "names", "version": "1"},
    "components": {"securitySchemes": {"key": KEY}},
    "paths": {"/secured/{some-name}": {"get": SECURED}},
}


@pytest.fixture(scope="module")
def names() -> Side:
    app = connexion.FlaskApp(__name__)
    app.add_api(SPEC, base_path="/v1", validator_map=VALIDATORS, pythonic_params=True)
    return wsgi_side(Application(connexion_handler(app), threads=1, max_body=1000))


@pytest.mark.parametrize("name", ["ab", "ab%0A", "%0Aab", "a%0ab"])
def test_a_line_feed_hides_no_operation(names: Side, name: str):
    assert names(Call("GET", f"/v1/secured/{name}")).status == 401
