"""The worker of the ASGI peers: uvicorn's, with the faster loop and parser by name and nothing that costs."""

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):  # type: ignore[misc]  # it has no types
    """Fails instead of falling back where a wheel is missing."""

    CONFIG_KWARGS = {  # noqa: RUF012 - as uvicorn-worker has it
        "loop": "uvloop",
        "http": "httptools",
        "lifespan": "on",
        "access_log": False,
        "proxy_headers": False,
    }
