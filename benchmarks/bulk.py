"""An import of 100,000 sites and their export: how long, how much memory, and what reads at the same time notice.

    python benchmarks/bulk.py                  three imports, of new sites and of changed ones
    python benchmarks/bulk.py --rows 10000

Reads come at a fixed rate from a process of their own, first alone and then beside each import and each export. The
exit status is 1 where an import takes more than 10 s or 30 MB of its worker, an export more than 30 MB, or where the
reads' 99th percentile beside one is more than twice what it is alone.
"""

import argparse
import csv
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
_EXPORTS = 4
"""In turn: one is over before there are reads enough."""


class _Measured(NamedTuple):
    seconds: float
    cpu: float
    of_database: float
    growth: float
    """MB of the worker that has grown most."""
    reads: list[float]
    answer: str


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, help="(default: 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--rate", type=int, default=100, help="reads a second (default: 100)")
    parser.add_argument("--alone", type=float, default=10.0, help="seconds of reads alone (default: 10)")
    try:
        return _measure(parser.parse_args())
    except BenchmarkError as error:
        print(f"bulk.py: {error}", file=sys.stderr)
        return 1


def _measure(arguments: argparse.Namespace) -> int:
    with running_server(DEFAULT_SET) as server, Fleet(server.environment()) as fleet:
        running = fleet.get(SERVICES[0], "places")
        caller = _Caller(server, running, arguments.rate)
        caller.reads_alone(_WARM_UP)
        alone = p99(caller.reads_alone(arguments.alone))
        print(f"reads alone, {arguments.rate} a second: p99 {alone:.1f} ms")
        cities = [row[0] for row in server.rows("SELECT id FROM city ORDER BY population DESC LIMIT 5000")]
        verdicts = []
        for number in range(arguments.rounds):
            kind = "application/x-ndjson" if number % 2 == 0 else "text/csv"
            file = _file(arguments.rows, number, cities, kind)
            verdicts.append(caller.import_(file, kind, alone))
        verdicts += [caller.export(kind, alone) for kind in ("csv", "ndjson", "geojson")]
    return 0 if all(verdicts) else 1


class _Caller:
    """Somebody with a key, and the reads beside what they do."""

    def __init__(self, server: Server, running: Running, rate: int) -> None:
        key = new_key()
        with closing(psycopg2.connect(**server.arguments)) as conn, conn:
            create_key(conn, key, "benchmark", ["read", "write"])
        self._server, self._running, self._rate = server, running, rate
        self._headers = {"X-API-Key": key}

    def reads_alone(self, seconds: float) -> list[float]:
        with Reader(self._running.url + _READ, self._rate) as reader:
            time.sleep(seconds)
        return reader.milliseconds

    def import_(self, file: bytes, kind: str, alone: float) -> bool:
        def send() -> str:
            headers = {**self._headers, "Content-Type": kind}
            return _text(
                requests.post(f"{self._running.url}/v1/sites/import", file, headers=headers, timeout=300)
            )

        found = self._watch(send)
        size = len(file) / 1e6
        return _tell(f"import of {size:.0f} MB, {kind}: {found.answer}", found, alone, _MOST_SECONDS)

    def export(self, kind: str, alone: float) -> bool:
        def receive() -> str:
            sizes = [self._size_of_export(kind) for _ in range(_EXPORTS)]
            return f"{sizes[0] / 1e6:.0f} MB"

        found = self._watch(receive)
        return _tell(f"{_EXPORTS} exports as {kind}, {found.answer} each", found, alone, None)

    def _size_of_export(self, kind: str) -> int:
        url = f"{self._running.url}/v1/sites/export?format={kind}"
        with requests.get(url, headers=self._headers, stream=True, timeout=300) as answer:
            if not answer.ok:
                raise BenchmarkError(f"{answer.status_code}: {answer.text[:500]}")
            return sum(map(len, answer.iter_content(65_536)))

    def _watch(self, act: Callable[[], str]) -> _Measured:
        peaks = [_Peak(worker) for worker in self._running.workers]
        cpu, of_database = self._running.cpu_seconds(), self._server.cpu_seconds()
        with Reader(self._running.url + _READ, self._rate) as reader:
            time.sleep(1)
            begun = time.monotonic()
            answer = act()
            seconds = time.monotonic() - begun
        return _Measured(
            seconds,
            self._running.cpu_seconds() - cpu,
            self._server.cpu_seconds() - of_database,
            max(peak.growth() for peak in peaks),
            reader.milliseconds,
            answer,
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


def _tell(title: str, found: _Measured, alone: float, most_seconds: float | None) -> bool:
    beside = p99(found.reads)
    print(
        f"{title}\n    {found.seconds:.1f} s; CPU {found.cpu:.1f} s in the workers (reads included), "
        f"{found.of_database:.1f} s in the database; worker's memory +{found.growth:.1f} MB; "
        f"reads beside it: p99 {beside:.1f} ms, {beside / alone:.1f} times as long"
    )
    in_time = most_seconds is None or found.seconds <= most_seconds
    return in_time and found.growth <= _MOST_MB and beside <= _MOST_SLOWER * alone


def _text(answer: requests.Response) -> str:
    if not answer.ok:
        raise BenchmarkError(f"{answer.status_code}: {answer.text[:500]}")
    return ", ".join(f"{count} {what}" for what, count in answer.json().items())


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
