"""gunicorn's settings for this service; the command line overrides each."""

import atexit
import gc
import os
import signal
import sys
from typing import Any

from swagger_server import capacity, log, runtime
from swagger_server.config import ConfigError, read_settings
from swagger_server.embedded import EmbeddedError
from swagger_server.prepare import prepare

# One event loop reads and sends, a thread for each request runs the controller: no slow client and no slow
# query holds up another request. uvicorn's parser and loop are written in C, and this worker takes the shortest
# way from them to a controller: of all it needs the least processor time for a request.
worker_class = "swagger_server.serving.worker.Worker"

# For `-k asgi`, as the worker above has it: what cannot be served stops gunicorn instead of being started again and
# again; and the connections that a worker accepts, whose requests wait for a thread in it and not in the kernel.
asgi_lifespan = "on"
worker_connections = 1000

# The service writes a line for each request itself, with the request id.
accesslog = None

# Whom to believe about X-Forwarded headers is [SERVER] TRUSTED_PROXIES' to say: else `-k uvicorn_worker.UvicornWorker`
# takes the client's address from them, for whoever connects from this host.
forwarded_allow_ips = ""

# Nothing here is administered at run time, and the default socket is shared by all services of a user.
control_socket_disable = True

# For master and workers alike: a process that ends needs no last look for garbage, which takes a tenth of its start.
atexit.register(gc.freeze)


def on_starting(server: Any) -> None:
    """Read the settings, get the embedded database ready, and see that the servers have room for all workers."""
    workers = server.cfg.workers
    if server.cfg.forwarded_allow_ips and "uvicorn" in server.cfg.worker_class_str:
        server.log.warning(
            "--forwarded-allow-ips has uvicorn believe X-Forwarded-For, whatever TRUSTED_PROXIES says"
        )
    try:
        loaded = read_settings()
        log.configure(loaded.settings.server)
        connections = prepare(loaded.settings, workers, with_places=_is_of_places(server))
        capacity.check(loaded, connections, workers)
    except (ConfigError, EmbeddedError) as exc:
        print(f"swagger_server: {exc}", file=sys.stderr)
        sys.exit(1)


def _is_of_places(server: Any) -> bool:
    """Whether it is the Places API that gunicorn serves, and no spec of somebody's own."""
    app = getattr(server.app, "app_uri", None) or ""
    return str(app).partition(":")[0] == "swagger_server.wsgi"


def on_exit(_server: Any) -> None:
    """Remove what the workers have shared, now that all of them have ended."""
    runtime.remove(os.getpid())


# uvloop loses a signal that arrives before it runs: stopping the service while a worker is still loading would
# take the whole graceful timeout. So they wait, blocked, until the worker can handle them.
_STOP_SIGNALS = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}


def post_fork(_server: Any, _worker: Any) -> None:
    """Hold back the signals that end a worker."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


def post_worker_init(worker: Any) -> None:
    """Let them through: in the event loop's first turn, or at once where there is none."""
    loop = getattr(worker, "loop", None)
    if loop is None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    else:
        loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, _STOP_SIGNALS)
