"""The service while its database stands still, restarts and loses its sessions: `gunicorn -w 4` under 16 clients.

    python benchmarks/faults.py               each fault three times, one table
    python benchmarks/faults.py --runs 1

The server is frozen (SIGSTOP) for twice the deadline, restarted, and robbed of all its sessions 20 times over. A
read may fail only while the server is frozen, with a 503 or 504 by the deadline. Needs requirements-dev.txt. The exit
status is 1 when a limit is missed.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness.activity import BY_WORKERS
from benchmarks.harness.answers import BACK_WITHIN, Answer
from benchmarks.harness.faulting import end_sessions
from tests.service.conftest import LEDGER, TABLES, environment_for
from tests.support.process import Gunicorn, start_gunicorn
from tests.support.servers import PrivateServer

CLIENTS = 16
DEADLINE = 3.0  # seconds
LATE = 0.5  # seconds after the deadline by which a refusal has to have arrived at a client of a busy machine


class Load:
    """Clients that read one after another; what they were answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._read) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        time.sleep(1.0)
        return self

    def __exit__(self, *_exc: object) -> None:
        time.sleep(1.0)
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                sent = time.monotonic()
                status = session.get(self._url, timeout=30).status_code
                self.answers.append(Answer(sent, time.monotonic(), status))


Fault = Callable[[PrivateServer, Load], Iterator[tuple[str, str, bool]]]
"""Makes a fault under load; what was measured, its value, and whether that is within the limit."""


def frozen(server: PrivateServer, load: Load) -> Iterator[tuple[str, str, bool]]:
    """SIGSTOP to every process of the server, SIGCONT after twice the deadline."""
    with load:
        server.freeze()
        time.sleep(2 * DEADLINE)
        thawed = time.monotonic()
        server.thaw()
    refused = [answer for answer in load.answers if not answer.is_good]
    slowest = max((answer.ended - answer.sent for answer in refused), default=0.0)
    statuses = sorted({answer.status for answer in refused})
    first = min(answer.ended for answer in load.answers if answer.is_good and answer.ended > thawed) - thawed
    late = [answer for answer in refused if answer.sent > thawed + BACK_WITHIN]
    yield "frozen: answers while it is", f"{len(refused)}, {statuses}", set(statuses) <= {503, 504}
    yield "frozen: slowest of them (s)", f"{slowest:.2f}", slowest <= DEADLINE + LATE
    yield "frozen: first answer after the thaw (ms)", f"{first * 1000:.0f}", first <= BACK_WITHIN
    yield "frozen: failed of those sent 250 ms after it, and later", str(len(late)), not late


def restarted(server: PrivateServer, load: Load) -> Iterator[tuple[str, str, bool]]:
    """A restart of the server."""
    with load:
        begun = time.monotonic()
        server.restart()
        took = time.monotonic() - begun
    failed = sum(not answer.is_good for answer in load.answers)
    yield f"restart in {took:.1f} s: failed of {len(load.answers)}", str(failed), not failed


def killed(server: PrivateServer, load: Load) -> Iterator[tuple[str, str, bool]]:
    """All sessions ended, 20 times."""
    with load:
        for _ in range(20):
            end_sessions(server, BY_WORKERS)
            time.sleep(0.2)
    failed = sum(not answer.is_good for answer in load.answers)
    yield f"all sessions killed 20 times: failed of {len(load.answers)}", str(failed), not failed


FAULTS: tuple[Fault, ...] = (frozen, restarted, killed)


@contextmanager
def _service() -> Iterator[tuple[PrivateServer, Gunicorn]]:
    with PrivateServer() as server:
        server.database().execute(TABLES)
        settings = {"SERVER_LOG_LEVEL": "CRITICAL", "SERVER_DEADLINE": str(DEADLINE)}
        env = environment_for({"default": server.database()}, **settings)
        with start_gunicorn("-w", "4", env=env, app=LEDGER) as service:
            yield server, service


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="(default: 3)")
    runs = parser.parse_args().runs
    good = True
    print("| | measured | |\n|---|---|---|")
    with _service() as (server, service):
        for _ in range(runs):
            for fault in FAULTS:
                for what, value, held in fault(server, Load(f"{service.url}/ledger/entries")):
                    print(f"| {what} | {value} | {'held' if held else 'MISSED'} |", flush=True)
                    good = good and held
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
