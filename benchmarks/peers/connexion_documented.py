"""Our service's own specs, controllers and `g.db`, run by Connexion as its documentation says.

An AsyncApp would be no help to synchronous controllers, so this is the FlaskApp under a uvicorn worker.
"""

from pathlib import Path

import connexion
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from connexion.middleware import MiddlewarePosition
from connexion.options import SwaggerUIOptions
from psycopg2.extensions import cursor
from starlette.middleware.cors import CORSMiddleware

import tests.second_spec
from benchmarks.peers.database import POOL_SIZE, STATEMENT_TIMEOUT_MS, libpq_arguments
from benchmarks.peers.middleware import CORS, RequestId
from swagger_server.db import Database
from swagger_server.paths import SPEC
from swagger_server.problems import NotFound

LEDGER = Path(tests.second_spec.__file__).with_name("openapi.yaml")


def _not_found(_request: ConnexionRequest, exc: Exception) -> ConnexionResponse:
    return ConnexionResponse(status_code=404, body=str(exc), content_type="text/plain")


def create() -> connexion.FlaskApp:
    """The app with both APIs and the database."""
    made = connexion.FlaskApp(
        __name__,
        strict_validation=True,
        pythonic_params=True,
        swagger_ui_options=SwaggerUIOptions(swagger_ui=False),
    )
    arguments = libpq_arguments()
    del arguments["options"]
    timeout = STATEMENT_TIMEOUT_MS / 1000
    Database().init_app(
        made.app,
        "default",
        POOL_SIZE,
        POOL_SIZE,
        statement_timeout=timeout,
        cursor_factory=cursor,
        **arguments,
    )
    made.add_api(SPEC)
    made.add_api(LEDGER, name="ledger")
    made.add_error_handler(NotFound, _not_found)
    made.add_middleware(CORSMiddleware, position=MiddlewarePosition.BEFORE_EXCEPTION, **CORS)
    made.add_middleware(RequestId, position=MiddlewarePosition.BEFORE_EXCEPTION)
    return made


app = create()
