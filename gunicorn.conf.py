"""gunicorn's settings, read by the plain command in this folder; the command line overrides each."""

import sys

from swagger_server.config import ConfigError, load_settings
from swagger_server.embedded import EmbeddedError
from swagger_server.prepare import prepare

# One event loop reads and sends, a thread for each request runs the controller: no slow client and no slow
# query holds up another request. uvloop, which this worker finds by itself, is the fastest loop.
worker_class = "asgi"

# A spec or a setting that cannot be served stops gunicorn instead of starting workers again and again.
asgi_lifespan = "on"

# Connections a worker accepts; requests beyond its threads wait in it, not in the kernel.
worker_connections = 1000

# Longer than most reverse proxies keep idle connections, so that it is they who close them.
keepalive = 75

# The service writes a line for each request itself, with the request id.
accesslog = None

# Nothing here is administered at run time, and the default socket is shared by all services of a user.
control_socket_disable = True


def on_starting(server):
    """Read the settings, and get the embedded database ready, once for all workers."""
    try:
        prepare(load_settings())
    except (ConfigError, EmbeddedError) as exc:
        print(f"swagger_server: {exc}", file=sys.stderr)
        sys.exit(1)
