"""A PostgreSQL server in a container, where Docker answers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .servers import Database

IMAGE = "postgres:18"


def why_no_containers() -> str | None:
    """None when Docker answers, else the reason why it does not, in one line."""
    if shutil.which("docker") is None:
        return "there is no docker program"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=30)
    if asked.returncode == 0:
        return None
    return (asked.stderr.strip() or asked.stdout.strip()).splitlines()[-1]


@contextmanager
def container_server(image: str = IMAGE) -> Iterator[Database]:
    """A new server in a container, for the duration of the block."""
    # imported here: it asks Docker while it is imported, and most runs have no use for it
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer(image, driver=None) as container:
        yield Database.from_url(container.get_connection_url())
