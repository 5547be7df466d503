"""Reads at a fixed rate from a process of their own, so that what they measure is not what else is computed here.

    python -m benchmarks.harness.reader URL RATE

Writes the milliseconds of each answer, from the moment at which it was due to be asked for, until its input ends.
"""

import http.client
import statistics
import subprocess
import sys
import threading
import time
from typing import Self
from urllib.parse import urlsplit

from benchmarks.harness.errors import BenchmarkError

_CLIENTS = 8


class Reader:
    """Reads `url` at `rate` requests a second while the block lasts."""

    def __init__(self, url: str, rate: int) -> None:
        command = [sys.executable, "-m", "benchmarks.harness.reader", url, str(rate)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.milliseconds: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        told, _ = self._process.communicate("")
        if self._process.returncode:
            raise BenchmarkError("a read failed")
        self.milliseconds = [float(line) for line in told.splitlines()]


def p99(milliseconds: list[float]) -> float:
    """The time within which 99 of 100 were answered."""
    return statistics.quantiles(milliseconds, n=100)[98]


def _main(url: str, rate: int) -> None:
    stop, found = threading.Event(), list[float]()
    clients = [
        threading.Thread(target=_read, args=(url, _CLIENTS / rate, number / rate, stop, found))
        for number in range(_CLIENTS)
    ]
    for client in clients:
        client.start()
    sys.stdin.read()
    stop.set()
    for client in clients:
        client.join()
    print("\n".join(map(str, found)))


def _read(url: str, every: float, due: float, stop: threading.Event, found: list[float]) -> None:
    parts = urlsplit(url)
    conn = http.client.HTTPConnection(parts.netloc, timeout=30)
    due += time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        conn.request("GET", url.split(parts.netloc, 1)[1])
        answer = conn.getresponse()
        answer.read()
        if answer.status != 200:
            found.append(float("nan"))
        found.append((time.monotonic() - due) * 1000)
        due += every


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
