"""A real PgBouncer in transaction mode, with its default settings otherwise, in front of a server."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2

from swagger_server.embedded.account import give, process_arguments, server_account

from .servers import START_TIMEOUT, Database, free_port, scratch_folder

CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""


def missing() -> str | None:
    """Why there can be no PgBouncer here; None where there can."""
    return None if shutil.which("pgbouncer") else "there is no pgbouncer: install the package of that name"


class PgBouncer:
    """Passes the transactions of its clients on over at most `size` connections for each database.

    Runs as the account that tests' servers run as, and ends with the test process. A context manager.
    """

    def __init__(self, server: Database, size: int = 20) -> None:
        self._server = server.connect_kwargs
        self._size = size
        self._port = free_port()
        self._folder = scratch_folder()
        self._account = server_account(self._folder)
        self._leash: subprocess.Popen[str] | None = None

    @property
    def connect_kwargs(self) -> dict[str, Any]:
        """For `psycopg2.connect`."""
        return {**self._server, "host": "127.0.0.1", "port": self._port}

    def database(self, name: str | None = None) -> Database:
        """The server's database by way of the pooler; another one of the server by its name."""
        return Database({**self.connect_kwargs, "dbname": name or self._server["dbname"]})

    def __enter__(self) -> Self:
        leash = Path(__file__).with_name("leash.py")
        self._leash = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(leash), json.dumps(process_arguments(self._account))),
                *(str(shutil.which("pgbouncer")), "--quiet", str(self._configuration())),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._leash is not None
        self._leash.communicate(timeout=START_TIMEOUT)  # the end of its input ends it
        shutil.rmtree(self._folder)

    def _configuration(self) -> Path:
        kept = ("host", "port", "user", "password")
        server = " ".join(f"{name}={self._server[name]}" for name in kept if self._server.get(name))
        file = self._folder / "pgbouncer.ini"
        file.write_text(CONFIGURATION.format(server=server, port=self._port, size=self._size))
        for path in (self._folder, file):
            give(path, self._account)
        return file

    def _wait_until_ready(self) -> None:
        assert self._leash is not None
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self.database().connect().close()
                return
            except psycopg2.OperationalError:
                if self._leash.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
