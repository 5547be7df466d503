"""The results of a run: every measurement, and on what it was made. They can be written, and read again."""

import json
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness.database import Server
from benchmarks.harness.load import Sample
from benchmarks.harness.services import Service
from benchmarks.harness.workloads import Workload

_PACKAGES = (
    "connexion",
    "flask",
    "fastapi",
    "asyncpg",
    "psycopg",
    "psycopg2-binary",
    "gunicorn",
    "uvicorn",
    "uvloop",
)


@dataclass
class Results:
    """Titles by the names of services and workloads, in the order of the report; memory as (RSS, USS) in MB."""

    made: str
    machine: str
    versions: dict[str, str]
    services: dict[str, str]
    workloads: dict[str, str]
    ours: list[str]
    seconds: float
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write all of it as JSON; makes the folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """What `write` has written."""
        members = json.loads(path.read_text())
        members["samples"] = [Sample(**sample) for sample in members["samples"]]
        return cls(**members)

    def of(self, workload: str, connections: int) -> list[Sample]:
        """The measurements of one table."""
        return [s for s in self.samples if (s.workload, s.connections) == (workload, connections)]

    def tables(self) -> list[tuple[str, int]]:
        """Workload and connections, as measured, in the order of the report."""
        return sorted(
            {(s.workload, s.connections) for s in self.samples},
            key=lambda table: (list(self.workloads).index(table[0]), table[1]),
        )

    @property
    def rounds(self) -> int:
        return max((sample.round for sample in self.samples), default=0)

    @property
    def foreign(self) -> float:
        """The share of the machine that was somebody else's, in the median of the measurements."""
        return statistics.median([sample.foreign for sample in self.samples if sample.p50_ms] or [0.0])

    def conditions(self) -> str:
        """When, where and how, in one line."""
        how = f"{self.rounds} interleaved rounds of {self.seconds:g} s, medians"
        return f"{self.made}, {self.machine}; {how}; others used {self.foreign:.0%} of the machine"

    def software(self) -> str:
        """All versions in one line."""
        return ", ".join(f"{name} {number}" for name, number in self.versions.items())


Value = Callable[[Sample], float]


def median(samples: Sequence[Sample], service: str, value: Value) -> float:
    """Of the service's measurements that nothing went wrong in; 0 where there is none."""
    return statistics.median([value(s) for s in samples if s.service == service and not s.fault] or [0.0])


def median_ratio(samples: Sequence[Sample], service: str, base: str, value: Value) -> float | None:
    """How the service compares with `base`, the median of the rounds' ratios; None where it cannot be told."""
    bases = {s.round: value(s) for s in samples if s.service == base and not s.fault}
    ratios = [
        value(s) / bases[s.round]
        for s in samples
        if s.service == service and not s.fault and bases.get(s.round)
    ]
    return statistics.median(ratios) if ratios else None


def begin(
    services: Sequence[Service], workloads: Sequence[Workload], seconds: float, server: Server
) -> Results:
    """Results without measurements yet, made today on this machine."""
    return Results(
        made=datetime.now(UTC).date().isoformat(),
        machine=_machine(),
        versions=_versions(server.version),
        services={service.name: service.title for service in services},
        workloads={workload.name: workload.title for workload in workloads},
        ours=[service.name for service in services if service.ours],
        seconds=seconds,
    )


def _machine() -> str:
    """Processor, cores, memory and system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"
    )


def _versions(database: str) -> dict[str, str]:
    """Of everything that had a part in it."""
    packages = {name: version(name) for name in _PACKAGES}
    return {"Python": platform.python_version(), "PostgreSQL": database, "wrk": _wrk_version(), **packages}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _wrk_version() -> str:
    told = subprocess.run([shutil.which("wrk") or "wrk", "-v"], capture_output=True, text=True).stdout.split()
    return told[1] if len(told) > 1 else "unknown"
