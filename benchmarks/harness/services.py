"""The services side by side: how each is started, what it cannot do, and gunicorn around it."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.harness.errors import BenchmarkError
from tests.support.servers import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
WORKERS = 2
THREADS = 20
_START_TIMEOUT = 60.0  # seconds
_STOP_TIMEOUT = 30.0  # seconds

_PLACES = "swagger_server.wsgi"
_LEDGER = "tests.second_spec.wsgi"
_PEER_SETTINGS = ("-c", "python:benchmarks.peers.gunicorn_settings")
_UVICORN = ("-k", "benchmarks.peers.worker.Worker")
_GTHREAD = ("-k", "gthread", "--threads", str(THREADS))


@dataclass(frozen=True)
class Service:
    """A contestant: its gunicorn command by the part of the API; a peer's one process has both parts."""

    name: str
    title: str
    commands: Mapping[str, tuple[str, ...]]
    ours: bool = False
    lacks: frozenset[str] = frozenset()


def _our_service(name: str, title: str, *options: str) -> Service:
    commands = {"places": (_PLACES, *options), "ledger": (_LEDGER, *options)}
    return Service(name, title, commands, ours=True)


def _peer(name: str, title: str, module: str, *options: str, lacks: Iterable[str] = ()) -> Service:
    command = (f"benchmarks.peers.{module}:app", *_PEER_SETTINGS, *options)
    return Service(name, title, {"places": command, "ledger": command}, lacks=frozenset(lacks))


TUNED, FLOOR = "fastapi-tuned", "floor"
PGBENCH, PREPARED = "pgbench", "pgbench-prepared"
_NO_LOOKUP = ("autocomplete", "list", "detail", "refused", "write")
_UNCOUNTED = ("SERVER_METRICS=no", *(f"LIMITS_{kind}_PER_ADDRESS=0" for kind in ("READS", "WRITES")))
"""Metrics and rate limits off: what our service does beyond the load of the peers."""

SERVICES = (
    _our_service("ours", "swagger_server"),
    _our_service(
        "ours-uncounted",
        "swagger_server, no metrics or limits",
        *(option for variable in _UNCOUNTED for option in ("--env", variable)),
    ),
    _our_service("ours-asgi", "swagger_server, asgi worker", "-k", "asgi"),
    _our_service("ours-gthread", "swagger_server, gthread", *_GTHREAD),
    _our_service("ours-sync", "swagger_server, sync", "-k", "sync"),
    _peer(TUNED, "FastAPI + asyncpg, tuned", "fastapi_tuned", *_UVICORN),
    _peer("fastapi", "FastAPI + asyncpg, response models", "fastapi_idiomatic", *_UVICORN),
    _peer("fastapi-threads", "FastAPI + psycopg_pool, sync endpoints", "fastapi_threads", *_UVICORN),
    _peer("connexion", "Connexion as documented", "connexion_documented", *_UVICORN),
    _peer("flask", "Flask + psycopg2's pool, gthread", "flask_pool", *_GTHREAD),
    _peer("flask-connect", "Flask, connecting for each request", "flask_connect", *_GTHREAD),
    _peer(FLOOR, "bare ASGI + psycopg2 (the floor)", "floor", *_UVICORN, lacks=["refused"]),
    Service(PGBENCH, "pgbench, the same statement", {}, lacks=frozenset(_NO_LOOKUP)),
    Service(PREPARED, "pgbench, prepared", {}, lacks=frozenset(_NO_LOOKUP)),
)


@dataclass
class Running:
    """A gunicorn master with its workers."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path
    workers: list[psutil.Process] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """User and system time of the workers so far."""
        self._require_all()
        return sum(times.user + times.system for times in (worker.cpu_times() for worker in self.workers))

    def memory(self) -> tuple[float, float]:
        """RSS and USS of the largest worker, in MB."""
        self._require_all()
        infos = [worker.memory_full_info() for worker in self.workers]
        return max(info.rss for info in infos) / 1e6, max(info.uss for info in infos) / 1e6

    def tail(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-2000:]

    def _require_all(self) -> None:
        if not all(worker.is_running() for worker in self.workers):
            raise BenchmarkError(f"A worker has ended:\n{self.tail()}")


_LIMITS = {f"LIMITS_{kind}_PER_ADDRESS": "1000000/second" for kind in ("READS", "WRITES")}
"""Counted, as they are with the defaults, but never reached."""


class Fleet:
    """All running services, each with so many workers, started at need, stopped together."""

    def __init__(self, environment: Mapping[str, str], workers: int = WORKERS) -> None:
        self._workers = workers
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        folder = Path(self._folder.name)
        (folder / "empty.ini").touch()
        own = {"SWAGGER_SERVER_CONFIG": str(folder / "empty.ini"), "SERVER_LOG_LEVEL": "WARNING", **_LIMITS}
        self._environment = {**os.environ, **environment, **own, "PYTHONPATH": str(CHECKOUT)}
        self._running: dict[tuple[str, ...], Running] = {}

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_exc: object) -> None:
        for running in self._running.values():
            running.process.send_signal(signal.SIGTERM)
        for running in self._running.values():
            _end(running.process)
        self._folder.cleanup()

    def get(self, service: Service, part: str) -> Running:
        """The running service for a part of the API; starts it at the first call."""
        command = service.commands[part]
        if command not in self._running:
            self._running[command] = self._start(command)
        return self._running[command]

    def memory(self, service: Service) -> tuple[float, float] | None:
        """RSS and USS of the largest worker, in MB; None for what was not started."""
        started = [
            self._running[command] for command in service.commands.values() if command in self._running
        ]
        return max((running.memory() for running in started), default=None)

    def _start(self, command: tuple[str, ...]) -> Running:
        port = free_port()
        log = Path(self._folder.name) / f"{port}.log"
        gunicorn = str(Path(sys.executable).with_name("gunicorn"))
        options = ("-w", str(self._workers), "-b", f"127.0.0.1:{port}")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [gunicorn, *command, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=CHECKOUT,
                start_new_session=True,
                preexec_fn=_end_with_starter,
            )
        running = Running(process, f"http://127.0.0.1:{port}", log)
        self._running[command] = running
        _wait_until_it_answers(running, self._workers)
        running.workers = psutil.Process(process.pid).children()
        return running


def _end_with_starter() -> None:
    """Run in the new process: have Linux end it when this one is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait_until_it_answers(running: Running, workers: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not _answers(running, workers):
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkError(f"{running.process.args!r} does not start:\n{running.tail()}")
        time.sleep(0.05)


def _answers(running: Running, workers: int) -> bool:
    if len(psutil.Process(running.process.pid).children()) < workers:
        return False
    try:
        with urllib.request.urlopen(f"{running.url}/v1/airports/JFK", timeout=5):
            return True
    except urllib.error.HTTPError as answer:
        # The ledger of our service knows no airports.
        return answer.code == 404
    except OSError:
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_TIMEOUT)
        return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
