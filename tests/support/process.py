"""The service as real processes: gunicorn with its workers, and the command line.

Every wait is for something that happens, with a deadline. A process started here is gone when its block
ends, and the block fails when a part of it is not.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from .servers import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
OWN_WORKER = "swagger_server.serving.worker.Worker"
"""What gunicorn.conf.py chooses."""

START_TIMEOUT = (
    150.0  # seconds; a first start makes a database and loads the sample data, and others run beside it
)
STOP_TIMEOUT = 20.0  # seconds


class Gunicorn:
    """A gunicorn master with its workers, in a process group of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: IO[bytes]) -> None:
        self.process = process
        self.url = url
        self._log = Path(log.name)
        self.stop_signal = signal.SIGTERM
        """What ends it at the end of its block."""

    @property
    def pid(self) -> int:
        """Of the master, which is the number of the process group too."""
        return self.process.pid

    def log(self) -> str:
        """Everything that master and workers have written so far, to either stream."""
        return self._log.read_text(errors="replace")

    def workers(self) -> list[int]:
        """The pids of the workers that live now."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def send(self, sign: signal.Signals) -> None:
        """Signal the master alone."""
        self.process.send_signal(sign)

    def interrupt(self) -> None:
        """What Ctrl-C at a terminal does: SIGINT to the whole group."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait for the master to end; returns its exit status, negative for a signal."""
        return self.process.wait(timeout)

    def wait_until_alone(self, timeout: float = STOP_TIMEOUT) -> None:
        """Wait until no process of the group is left; AssertionError names those that are."""
        wait_until(lambda: not group(self.pid), timeout, lambda: f"left: {group(self.pid)}\n{self.log()}")

    def answers(self) -> bool:
        """Whether a request is answered now."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/live", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def start_gunicorn(
    *args: str,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    app: str = "swagger_server.wsgi",
    python: str = sys.executable,
) -> Iterator[Gunicorn]:
    """`gunicorn APP ARGS` on a free port, answering; stopped at the end of the block.

    `env` is laid over our own environment, None removes a variable. Without `cwd` it is started from the
    checkout.
    """
    with tempfile.NamedTemporaryFile(prefix="gunicorn-", suffix=".log") as log:
        port = free_port()
        command = [*_gunicorn(app, python), "-b", f"127.0.0.1:{port}", *args]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(env),
            cwd=cwd or CHECKOUT,
            start_new_session=True,
        )
        service = Gunicorn(process, f"http://127.0.0.1:{port}", log)
        if "asgi" in args:
            # SIGTERM makes this worker wait two seconds for clients that may come back.
            service.stop_signal = signal.SIGINT
        try:
            _wait_until_it_answers(service)
            yield service
        finally:
            _stop(service)


def run_gunicorn(
    *args: str,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    app: str = "swagger_server.wsgi",
    under: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """`UNDER gunicorn APP ARGS` that is expected to end by itself; TimeoutExpired when it does not."""
    return _run([*under, *_gunicorn(app), "-b", f"127.0.0.1:{free_port()}", *args], env, cwd)


def run_cli(
    *args: str, env: Mapping[str, str | None] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """`python -m swagger_server ARGS`, to its end."""
    return _run([sys.executable, "-m", "swagger_server", *args], env, cwd)


UNLIMITED = {
    "LIMITS_WRITES_PER_ADDRESS": "0",
    "LIMITS_WRITES_PER_KEY": "0",
    "LIMITS_FAILED_AUTHENTICATIONS": "0",
}
"""For tests, which all come from one address: they write, and try wrong keys, faster than people do."""


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Our own environment, without limits, with some variables changed, or (None) removed."""
    merged = {**os.environ, **UNLIMITED, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def wait_until(
    condition: Callable[[], object], timeout: float = STOP_TIMEOUT, explain: Callable[[], str] = lambda: ""
) -> None:
    """Wait for a condition; AssertionError, with an explanation, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {explain()}")
        time.sleep(0.02)


def has_died(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has waited for it yet: its sockets are closed."""
    try:
        process = psutil.Process(pid)
        # Its first thread may have ended before the others, which hold the sockets still.
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
    except psutil.NoSuchProcess:
        return True


def group(number: int) -> list[psutil.Process]:
    """The living processes of a process group; a zombie has ended."""
    found = []
    for pid in psutil.pids():
        # asked for the number first: what else there is to know about each process takes much longer
        with suppress(ProcessLookupError, psutil.Error):
            if (
                os.getpgid(pid) == number
                and (process := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def mentioning(*texts: str) -> list[psutil.Process]:
    """The living processes with all `texts` in their command line, such as a folder that only they use."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = "\0".join(process.cmdline())
            if all(text in line for text in texts):
                found.append(process)
    return found


def _gunicorn(app: str, python: str = sys.executable) -> list[str]:
    return [str(Path(python).with_name("gunicorn")), app]


def _run(
    command: list[str], env: Mapping[str, str | None] | None, cwd: Path | None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(env),
        cwd=cwd or CHECKOUT,
        timeout=START_TIMEOUT,
    )


def _wait_until_it_answers(service: Gunicorn) -> None:
    process = service.process
    wait_until(
        lambda: service.answers() or process.poll() is not None,
        START_TIMEOUT,
        lambda: f"no answer\n{service.log()}",
    )
    assert process.poll() is None, f"gunicorn ended with {process.returncode}\n{service.log()}"


def _stop(service: Gunicorn) -> None:
    try:
        if service.process.poll() is None:
            service.send(service.stop_signal)
            service.wait()
        service.wait_until_alone()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGKILL)
        service.wait()
