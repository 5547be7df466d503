"""What gunicorn loads: settings -> databases -> app; exposes `application`, for WSGI and ASGI.

gunicorn swagger_server.wsgi -w 4
"""

import atexit
import inspect
import os
import sys

from connexion.exceptions import ConnexionException

from swagger_server import log, schema, site
from swagger_server.app import create_app
from swagger_server.config import ConfigError, load_settings
from swagger_server.embedded import EmbeddedError
from swagger_server.health import SchemaCheck
from swagger_server.paths import SPEC
from swagger_server.prepare import prepare
from swagger_server.serving import Application

_GUNICORN_HALTS = 3
"""The exit status by which a worker tells gunicorn's master to stop instead of starting another one."""


def _build() -> Application:
    settings = load_settings()
    log.configure(settings.server)
    return create_app(
        settings,
        prepare(settings),
        spec=SPEC,
        blueprints=[site.blueprint],
        schema=SchemaCheck(schema.SCHEMA_VERSION, schema.current_version),
    )


def _is_preloading() -> bool:
    """Whether gunicorn's master is importing this module (--preload): workers will be forked from it."""
    modules = {frame.frame.f_globals.get("__name__", "") for frame in inspect.stack(context=0)}
    return "gunicorn.arbiter" in modules and "gunicorn.workers.base" not in modules


def _start(application: Application) -> None:
    """Open the pools in this process, or, in a master that preloads, in each worker once it is forked."""
    atexit.register(application.stop)
    if _is_preloading():
        os.register_at_fork(after_in_child=application.start)
    else:
        application.start()


try:
    application = _build()
except (ConfigError, EmbeddedError, ConnexionException) as exc:
    print(f"swagger_server: {exc}", file=sys.stderr)
    sys.exit(_GUNICORN_HALTS)
_start(application)
