"""What gunicorn loads: settings -> databases -> app; exposes `application`, for WSGI and ASGI.

gunicorn swagger_server.wsgi -w 4
"""

from swagger_server import schema, site
from swagger_server.health import SchemaCheck
from swagger_server.paths import SPEC
from swagger_server.startup import load_application

_REMEDY = "run `python -m swagger_server migrate`, then `python -m swagger_server load-places`"

application = load_application(
    SPEC,
    blueprints=[site.blueprint],
    schema=SchemaCheck(schema.SCHEMA_VERSION, schema.current_version, _REMEDY),
    with_places=True,
)
