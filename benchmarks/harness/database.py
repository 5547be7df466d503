"""One PostgreSQL for all services: an embedded one with the places, and the ledger for the writes."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg2

from benchmarks.harness.errors import BenchmarkError
from swagger_server.embedded import available
from swagger_server.sample import DEFAULT_SET, load_places
from swagger_server.schema import migrate
from tests.support.servers import PrivateServer

# All services are connected all the time, but only one of them works at a time.
_SETTINGS = {"max_connections": "1000", "fsync": "on", "full_page_writes": "on"}

# As the ledger's own tables; names may repeat, since the load sends one request again and again.
_LEDGER = (
    "CREATE TABLE entry (number serial PRIMARY KEY, name text NOT NULL, amount numeric CHECK (amount > 0))"
)


_PATIENCE = 5.0  # seconds


@dataclass(frozen=True)
class Server:
    """The running database server."""

    arguments: dict[str, Any]
    process: psutil.Process

    def environment(self) -> dict[str, str]:
        """The variables that point our service, and the peers, to it."""
        names = {
            "POSTGRES_URL": "host",
            "POSTGRES_PORT": "port",
            "POSTGRES_USER": "user",
            "POSTGRES_DB": "dbname",
        }
        return {variable: str(self.arguments[name]) for variable, name in names.items()}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a statement finds."""
        with closing(psycopg2.connect(**self.arguments)) as conn, conn, conn.cursor() as cur:
            cur.execute(sql)
            found: list[tuple[Any, ...]] = cur.fetchall()
            return found

    def empty_ledger(self) -> None:
        """Begin the writes with an empty table, whoever writes."""
        with closing(psycopg2.connect(**self.arguments)) as conn, conn, conn.cursor() as cur:
            cur.execute("TRUNCATE entry")

    @property
    def version(self) -> str:
        """Such as "18.6"."""
        return str(self.rows("SHOW server_version")[0][0]).split(" ")[0]

    def sessions(self) -> int:
        """How many processes serve it."""
        return len(self.process.children())

    def wait_until_sessions_end(self, left: int) -> None:
        """Wait until the server has counted those in that ended, and `left` remain; a few milliseconds."""
        deadline = time.monotonic() + _PATIENCE
        while self.sessions() > left and time.monotonic() < deadline:
            time.sleep(0.01)

    def cpu_seconds(self) -> float:
        """Spent so far by the server and all its sessions, those included that have ended."""
        own = self.process.cpu_times()
        spent: float = own.user + own.system + own.children_user + own.children_system
        for session in self.process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = session.cpu_times()
                spent += times.user + times.system
        return spent


@contextmanager
def running_server(cities: int = DEFAULT_SET) -> Iterator[Server]:
    """A server of our own with the tables filled; stopped and removed at the end. `cities` names the set of them."""
    if reason := available():
        raise BenchmarkError(f"No database: {reason}")
    with PrivateServer(_SETTINGS) as private:
        server = Server(private.connect_kwargs, psutil.Process(private.pid))
        _fill(server, cities)
        yield server


def _fill(server: Server, cities: int) -> None:
    with closing(psycopg2.connect(**server.arguments)) as conn:
        migrate(conn)
        load_places(conn, cities=cities, progress=False)
        with conn.cursor() as cur:
            cur.execute(_LEDGER)
        conn.commit()
        conn.autocommit = True
        with conn.cursor() as cur:
            cur.execute("VACUUM ANALYZE")
            cur.execute("CHECKPOINT")
