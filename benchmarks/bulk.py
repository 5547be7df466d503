"""An import of 100,000 sites and their export: how long, how much memory, and what reads at the same time notice.

    python benchmarks/bulk.py                  three imports, of new sites and of changed ones
    python benchmarks/bulk.py --rows 10000

Reads come at a fixed rate from a process of their own, alone before each import and export, and beside it. The exit
status is 1 where an import takes more than 10 s or 30 MB of its worker, an export more than 30 MB, or where the reads'
99th percentile beside them is more than twice what it is alone.
"""

import argparse
import csv
import functools
import io
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg2
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness.database import Server, running_server
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.reader import Reader, p99
from benchmarks.harness.services import SERVICES, Fleet, Running
from swagger_server.key_store import create_key, new_key
from swagger_server.sample import DEFAULT_SET

_MOST_SECONDS = 10.0
_MOST_MB = 30.0
_MOST_SLOWER = 2.0
_READ = "/v1/cities?q=paris"
_WARM_UP = 2.0  # seconds
_BEGINNING = 1.0  # seconds in which the reader starts
_EXPORTS = 4
"""In turn: one is over before there are reads enough."""


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, help="(default: 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--rate", type=int, default=100, help="reads a second (default: 100)")
    parser.add_argument(
        "--alone", type=float, default=5.0, help="seconds of reads alone before each (default: 5)"
    )
    try:
        return _measure(parser.parse_args())
    except BenchmarkError as error:
        print(f"bulk.py: {error}", file=sys.stderr)
        return 1


def _measure(arguments: argparse.Namespace) -> int:
    with running_server(DEFAULT_SET) as server, Fleet(server.environment()) as fleet:
        caller = _Caller(server, fleet.get(SERVICES[0], "places"), arguments.rate)
        caller.read_alone(_WARM_UP)
        caller.alone.clear()
        cities = [row[0] for row in server.rows("SELECT id FROM city ORDER BY population DESC LIMIT 5000")]
        acts: list[tuple[str, float | None, Callable[[], str]]] = []
        for number in range(arguments.rounds):
            kind = ("application/x-ndjson", "text/csv")[number % 2]
            send = functools.partial(caller.import_, _file(arguments.rows, number, cities, kind), kind)
            acts.append((f"import, {kind}", _MOST_SECONDS, send))
        for kind in ("csv", "ndjson", "geojson"):
            acts.append((f"{_EXPORTS} exports, {kind}", None, functools.partial(caller.export, kind)))
        found = []
        for title, most, act in acts:
            caller.read_alone(arguments.alone)
            measured = caller.watch(act)
            found.append(measured.is_within(most))
            print(f"{title}: {measured}", flush=True)
        return 0 if _reads_are_within(caller) and all(found) else 1


def _reads_are_within(caller: "_Caller") -> bool:
    """Whether those beside an import or an export are answered nearly as soon as those alone."""
    alone, beside = p99(caller.alone), p99(caller.beside)
    print(
        f"reads: p99 {alone:.1f} ms alone, {beside:.1f} ms beside the above: {beside / alone:.1f} times as long"
    )
    return beside <= _MOST_SLOWER * alone


class _Caller:
    """Somebody with a key, and the reads beside what they do."""

    def __init__(self, server: Server, running: Running, rate: int) -> None:
        key = new_key()
        with closing(psycopg2.connect(**server.arguments)) as conn, conn:
            create_key(conn, key, "benchmark", ["read", "write"])
        self._server, self._running, self._rate = server, running, rate
        self._headers = {"X-API-Key": key}
        self.alone: list[float] = []
        self.beside: list[float] = []

    def read_alone(self, seconds: float) -> None:
        with Reader(self._running.url + _READ, self._rate) as reader:
            time.sleep(seconds)
        self.alone += reader.milliseconds

    def import_(self, file: bytes, kind: str) -> str:
        headers = {**self._headers, "Content-Type": kind}
        url = f"{self._running.url}/v1/sites/import"
        answer = requests.post(url, file, headers=headers, timeout=300)
        _require(answer)
        counts = ", ".join(f"{count} {what}" for what, count in answer.json().items() if count)
        return f"{len(file) / 1e6:.0f} MB, {counts}"

    def export(self, kind: str) -> str:
        sizes = [self._size_of_export(kind) for _ in range(_EXPORTS)]
        return f"{sizes[0] / 1e6:.0f} MB each"

    def _size_of_export(self, kind: str) -> int:
        url = f"{self._running.url}/v1/sites/export?format={kind}"
        with requests.get(url, headers=self._headers, stream=True, timeout=300) as answer:
            _require(answer)
            return sum(map(len, answer.iter_content(65_536)))

    def watch(self, act: Callable[[], str]) -> "_Measured":
        """Do something while others read."""
        peaks = [_Peak(worker) for worker in self._running.workers]
        cpu, of_database = self._running.cpu_seconds(), self._server.cpu_seconds()
        with Reader(self._running.url + _READ, self._rate) as reader:
            time.sleep(_BEGINNING)
            begun = time.monotonic()
            what = act()
            seconds = time.monotonic() - begun
        self.beside += reader.milliseconds[round(_BEGINNING * self._rate) :]
        return _Measured(
            what,
            seconds,
            self._running.cpu_seconds() - cpu,
            self._server.cpu_seconds() - of_database,
            max(peak.growth() for peak in peaks),
        )


class _Measured(NamedTuple):
    what: str
    seconds: float
    cpu: float
    of_database: float
    growth: float
    """MB of the worker that has grown most."""

    def is_within(self, most_seconds: float | None) -> bool:
        return (most_seconds is None or self.seconds <= most_seconds) and self.growth <= _MOST_MB

    def __str__(self) -> str:
        return (
            f"{self.what}\n    {self.seconds:.1f} s; CPU, reads included: {self.cpu:.1f} s in the workers, "
            f"{self.of_database:.1f} s in the database; worker's memory +{self.growth:.1f} MB"
        )


class _Peak:
    """A worker's memory from now on."""

    def __init__(self, worker: psutil.Process) -> None:
        self._folder = Path(f"/proc/{worker.pid}")
        (self._folder / "clear_refs").write_text("5")  # forget the peak so far
        self._before = self._peak()

    def growth(self) -> float:
        return self._peak() - self._before

    def _peak(self) -> float:
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM:"))


def _require(answer: requests.Response) -> None:
    if not answer.ok:
        raise BenchmarkError(f"{answer.status_code}: {answer.text[:500]}")


def _file(rows: int, round_: int, cities: list[int], kind: str) -> bytes:
    sites = list(_sites(rows, round_, cities))
    if kind == "application/x-ndjson":
        return "".join(json.dumps(site) + "\n" for site in sites).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(sites[0]))
    writer.writeheader()
    for site in sites:
        lists = {name: "\n".join(value) for name, value in site.items() if isinstance(value, list)}
        writer.writerow({**site, **lists, "attributes": json.dumps(site["attributes"])})
    return text.getvalue().encode()


def _sites(rows: int, round_: int, cities: list[int]) -> Iterator[dict[str, Any]]:
    dice = random.Random(round_)
    for number in range(rows):
        yield {
            "external_id": f"shop-{number:06}",
            "name": f"Shop {number} of round {round_}",
            "tags": ["shop", "open-late"],
            "address_lines": [f"{number} High Street", "Somewhere"],
            "city_id": dice.choice(cities),
            "lat": round(dice.uniform(-80, 80), 5),
            "lon": round(dice.uniform(-180, 180), 5),
            "opening_hours": "Mo-Sa 10:00-19:00",
            "phone": "+33 1 23 45 67 89",
            "url": f"https://shop.example/{number}",
            "attributes": {"floors": 2, "manager": "Somebody"},
        }


if __name__ == "__main__":
    sys.exit(main())
