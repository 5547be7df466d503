"""Real PostgreSQL servers for tests: private ones that may be stopped and frozen, and lent ones."""

import atexit
import functools
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import make_dsn, parse_dsn

from swagger_server.embedded import binaries, cluster
from swagger_server.embedded.account import give, process_arguments, server_account
from swagger_server.embedded.folders import state_folder

START_TIMEOUT = 30.0  # seconds
SCRATCH_PREFIX = "swagger-test-"
_IN_MEMORY = Path("/dev/shm")
_PLENTY = 6 * 2**30  # bytes, of which a run takes less than half
STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}
# Data of a test need not survive a crash of the machine, but one of the server.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Database:
    """A database to connect to, with `psycopg2.connect`'s arguments."""

    connect_kwargs: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.connect_kwargs["dbname"])

    @property
    def url(self) -> str:
        """A libpq connection string, with everything needed to connect."""
        return str(make_dsn(**self.connect_kwargs))

    def connect(self, **kwargs: Any) -> Connection:
        """A new connection, which the caller closes; `kwargs` go to psycopg2."""
        connection: Connection = psycopg2.connect(**{**self.connect_kwargs, **kwargs})
        return connection

    def execute(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own, in autocommit, and return its rows, if it has any."""
        connection = self.connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def sibling(self, name: str) -> "Database":
        """Another database of the same server."""
        return Database({**self.connect_kwargs, "dbname": name})

    @classmethod
    def from_url(cls, url: str) -> "Database":
        return cls(parse_dsn(url))


class PrivateServer:
    """A server of a test's own, in a temporary folder. Not started until `start`, or a `with` block.

    Listens on a Unix socket (`connect_kwargs`) and on 127.0.0.1 (`tcp_kwargs`), on the same port after a
    restart. Everything waits until it has happened. The server ends with the test process, however that
    ends.
    """

    def __init__(self, settings: Mapping[str, str] | None = None, cluster: Path | None = None) -> None:
        self.folder = scratch_folder()
        self._account = server_account(self.folder / "cluster")
        give(self.folder, self._account)
        self._data = self._make_data(cluster)
        self.port = free_port()
        self._settings = self._all_settings(settings or {})
        self._leash: subprocess.Popen[str] | None = None
        self._postmaster: psutil.Process | None = None
        self._frozen: list[int] = []

    @property
    def connect_kwargs(self) -> dict[str, Any]:
        """For `psycopg2.connect`, over the Unix socket."""
        return {"host": str(self.folder), "port": self.port, "user": cluster.USER, "dbname": "postgres"}

    @property
    def tcp_kwargs(self) -> dict[str, Any]:
        """For `psycopg2.connect`, over 127.0.0.1."""
        return {**self.connect_kwargs, "host": "127.0.0.1"}

    @property
    def url(self) -> str:
        return str(make_dsn(**self.connect_kwargs))

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return self._running().pid

    def start(self) -> Self:
        """Start the server and wait until it takes connections."""
        command = cluster.server_command(_binaries(), self._data, self.folder, self._settings)
        leash = Path(__file__).with_name("leash.py")
        account = json.dumps(process_arguments(self._account))
        self._leash = subprocess.Popen(
            [sys.executable, "-I", "-S", str(leash), account, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=cluster.environment(),
            text=True,
            start_new_session=True,
        )
        assert self._leash.stdout is not None
        self._postmaster = psutil.Process(int(self._leash.stdout.readline()))
        self._wait_until_ready()
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop as `pg_ctl -m` does ("smart", "fast", "immediate") or "kill"; waits until it is gone."""
        if self._leash is None:
            return
        family = self._family()
        self._running().send_signal(STOP_SIGNALS[mode])
        self._leash.wait(timeout=START_TIMEOUT)
        # backends of a killed postmaster end by themselves, a moment later
        psutil.wait_procs(family, timeout=START_TIMEOUT)
        self._let_go()

    def restart(self, mode: str = "fast") -> None:
        """Stop and start again, with the same data and port."""
        self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """Stop all processes of the server where they stand (SIGSTOP): it is there, and answers nothing."""
        self._frozen = [process.pid for process in self._family()]
        _signal_all(self._frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on, at once: frozen processes neither end nor start others."""
        _signal_all(self._frozen, signal.SIGCONT)
        self._frozen = []

    def connect(self, **kwargs: Any) -> Connection:
        """A new connection over the Unix socket, which the caller closes; `kwargs` go to psycopg2."""
        return self.database().connect(**kwargs)

    def database(self) -> Database:
        """The server's database `postgres`, over the Unix socket."""
        return Database(self.connect_kwargs)

    def close(self) -> None:
        """Stop the server, in whatever state it is, and remove its folder."""
        if self._leash is not None:
            self.thaw()
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_data(self, cluster: Path | None) -> Path:
        return copy_of_cluster(cluster or _template(), self.folder / "cluster")

    def _all_settings(self, extra: Mapping[str, str]) -> dict[str, str]:
        own = {"listen_addresses": "127.0.0.1", "port": str(self.port)}
        return {**cluster.SETTINGS, **FAST_SETTINGS, **own, **extra}

    def _running(self) -> psutil.Process:
        assert self._postmaster is not None, "the server is not running"
        return self._postmaster

    def _family(self) -> list[psutil.Process]:
        """The postmaster first, so that it starts nothing while the others are looked at."""
        postmaster = self._running()
        return [postmaster, *postmaster.children(recursive=True)]

    def _wait_until_ready(self) -> None:
        assert self._leash is not None
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self.connect().close()
                return
            except psycopg2.OperationalError:
                if self._leash.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _let_go(self) -> None:
        assert self._leash is not None
        for stream in (self._leash.stdin, self._leash.stdout):
            assert stream is not None
            stream.close()
        self._leash = self._postmaster = None


# What a server needs that others follow, and one that may have to be followed.
REPLICATION_SETTINGS = {"wal_level": "replica", "max_wal_senders": "4", "wal_log_hints": "on"}


class ReplicatedServer(PrivateServer):
    """A private server that others can follow, by streaming, and that can follow another."""

    def __init__(
        self, settings: Mapping[str, str] | None = None, source: PrivateServer | None = None
    ) -> None:
        """A primary; or a copy of `source`, which runs, that follows it."""
        self._source = source
        super().__init__({**REPLICATION_SETTINGS, **(settings or {})})

    def standby(self) -> "ReplicatedServer":
        """A server that follows this one, which must run; not started yet."""
        return ReplicatedServer(source=self)

    def promote(self) -> None:
        """Have a standby become a primary; waits until it is."""
        self.database().execute("SELECT pg_promote()")

    def follow(self, primary: PrivateServer) -> None:
        """Have this server, which is stopped, be a standby from its next start on."""
        give_file(self._data / "standby.signal", self._account)
        self._settings["primary_conninfo"] = str(make_dsn(**primary.connect_kwargs))

    def wait_for(self, primary: PrivateServer) -> None:
        """Until this standby has replayed what the primary has written by now."""
        ((written,),) = primary.database().execute("SELECT pg_current_wal_lsn()::text")
        self._wait_for(f"SELECT pg_last_wal_replay_lsn() >= '{written}'")

    def pause_replay(self) -> None:
        """Have this standby stand still at what it has replayed; waits until it does."""
        self.database().execute("SELECT pg_wal_replay_pause()")
        self._wait_for("SELECT pg_get_wal_replay_pause_state() = 'paused'")

    def resume_replay(self) -> None:
        self.database().execute("SELECT pg_wal_replay_resume()")

    def _wait_for(self, condition: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while self.database().execute(condition) != [(True,)]:
            assert time.monotonic() < deadline, condition
            time.sleep(0.01)

    def _make_data(self, cluster: Path | None) -> Path:
        if self._source is None:
            return super()._make_data(cluster)
        target = self.folder / "cluster"
        subprocess.run(
            [
                *(str(_binaries().folder / "pg_basebackup"), "--pgdata", str(target), "--checkpoint=fast"),
                *("--no-sync", "--write-recovery-conf", "--dbname", self._source.url),
            ],
            check=True,
            capture_output=True,
            cwd="/",
            timeout=START_TIMEOUT,
            **process_arguments(self._account),
        )
        return target


def _signal_all(pids: Iterable[int], sign: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


@contextmanager
def temporary_database(server: Database, name: str) -> Iterator[Database]:
    """A new empty database, dropped at the end, together with whatever is still connected to it."""
    server.execute(f'CREATE DATABASE "{name}"')
    try:
        yield server.sibling(name)
    finally:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every account may pass through, as /home is; pytest's own are for us alone.

    The data of an embedded server that root starts can stay there, since its other account can reach them.
    """
    folder = scratch_folder()
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder)


def scratch_folder() -> Path:
    """A new temporary folder, which the caller removes. What a killed run left is removed by the next one."""
    _remove_leftovers()
    return Path(tempfile.mkdtemp(prefix=f"{SCRATCH_PREFIX}{os.getpid()}-", dir=scratch_place()))


@functools.cache
def scratch_place() -> Path:
    """Where temporary folders are: in memory where there is plenty, else where temporary files are.

    A server's data are more than a thousand files. On a disk making them takes several times as long.
    """
    if "TMPDIR" not in os.environ and _has_room(_IN_MEMORY):
        return _IN_MEMORY
    return Path(tempfile.gettempdir())


def _has_room(place: Path) -> bool:
    try:
        state = os.statvfs(place)
    except OSError:
        return False
    free = min(state.f_bavail * state.f_frsize, psutil.virtual_memory().available)
    return os.access(place, os.W_OK) and not state.f_flag & os.ST_NOEXEC and free > _PLENTY


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses, and that nobody else in this run of the tests is given.

    The system gives ports from 32768 on to whoever connects: one of those would be free at this moment only.
    """
    while True:
        port = next(_ports)
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def _ports_in_turn() -> Iterator[int]:
    """The ports of this process of the run, from anywhere on, round and round."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(12_000 + number % 10 * 2000, 14_000 + number % 10 * 2000)
    begin = random.randrange(len(own))
    return itertools.cycle([*own[begin:], *own[:begin]])


_ports = _ports_in_turn()


def give_file(path: Path, account: Any) -> None:
    """Make an empty file for the account."""
    path.touch()
    give(path, account)


@functools.cache
def _remove_leftovers() -> None:
    for folder in scratch_place().glob(f"{SCRATCH_PREFIX}*"):
        maker = folder.name.removeprefix(SCRATCH_PREFIX).split("-")[0]
        if maker.isdigit() and not psutil.pid_exists(int(maker)):
            shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _binaries() -> binaries.Binaries:
    account = server_account(Path("/nowhere"))
    return binaries.usable_by(binaries.find(), account, state_folder()) if account else binaries.find()


@functools.cache
def _template() -> Path:
    """A new cluster, made once in a run: copying it takes a tenth of making it. Removed with the process."""
    folder = scratch_folder()
    atexit.register(shutil.rmtree, folder)
    account = server_account(Path("/nowhere"))
    give(folder, account)
    cluster.make(_binaries(), folder / "cluster", account)
    return folder / "cluster"


def copy_of_cluster(source: Path, target: Path) -> Path:
    """A cluster on which no server runs, copied for the account that a server of ours runs as."""
    account = server_account(target)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".s.PGSQL.*"))
    for folder, _, files in os.walk(target):
        give(Path(folder), account)
        for name in files:
            give(Path(folder) / name, account)
    return target
