"""Load from loopback by wrk, and what it cost: one measurement is one call of `measure`."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness.database import Server
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.services import Fleet, Running, Service
from benchmarks.harness.workloads import Workload

_SCRIPT = Path(__file__).with_name("wrk.lua")
_PATIENCE = 30  # seconds that wrk waits for an answer


@dataclass(frozen=True)
class Sample:
    """One measurement. Times are per request; `foreign` is the share of the machine that others used."""

    service: str
    workload: str
    connections: int
    round: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    app_us: float
    database_us: float
    foreign: float
    fault: str = ""


def require_wrk() -> str:
    """wrk's path; BenchmarkError says what to install."""
    found = shutil.which("wrk")
    if found is None:
        raise BenchmarkError(
            "wrk, which makes the load, is not installed: apt-get install wrk, or brew install wrk"
        )
    return found


def measure(
    service: Service,
    fleet: Fleet,
    server: Server,
    workload: Workload,
    *,
    connections: int,
    seconds: float,
    round_: int,
) -> Sample:
    """Send the workload for a while over so many connections, waiting until it is done."""
    running = fleet.get(service, workload.part)
    if workload.part == "ledger":
        server.empty_ledger()
    before = _spent(running, server)
    told = send(running.url, workload, connections, seconds)
    app, database, machine, wrk = (
        after - start for start, after in zip(before, _spent(running, server), strict=True)
    )
    requests = told["requests"] or 1
    cores = os.cpu_count() or 1
    return Sample(
        service=service.name,
        workload=workload.name,
        connections=connections,
        round=round_,
        requests=told["requests"],
        per_second=told["requests"] / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        app_us=app / requests * 1e6,
        database_us=database / requests * 1e6,
        foreign=max(0.0, machine - app - database - wrk) / told["seconds"] / cores,
        fault=fault_of(told, workload),
    )


def _spent(running: Running, server: Server) -> tuple[float, float, float, float]:
    """Seconds of CPU so far: the workers', the database's, the whole machine's, wrk's."""
    machine = psutil.cpu_times()
    children = os.times()
    busy = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)
    return (
        running.cpu_seconds(),
        server.cpu_seconds(),
        busy,
        children.children_user + children.children_system,
    )


def send(url: str, workload: Workload, connections: int, seconds: float) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", prefix="requests-") as requests:
        for each in workload.requests:
            requests.write(f"{each.method}\t{each.path}\t{each.body}\n")
        requests.flush()
        duration = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", f"{_PATIENCE}s"]
        command = [require_wrk(), *duration, "-s", str(_SCRIPT), url, "--", requests.name]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 2 * _PATIENCE)
    if ended.returncode != 0:
        raise BenchmarkError(f"wrk failed: {ended.stdout[-500:]}{ended.stderr[-500:]}")
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def fault_of(told: dict[str, Any], workload: Workload) -> str:
    """What went wrong, in words; nothing may."""
    faults = [f"{told[kind]} {kind} errors" for kind in ("connect", "read", "write", "timeout") if told[kind]]
    refused, expected = told["refused"], told["requests"] if workload.status >= 400 else 0
    if refused != expected:
        faults.append(f"{refused} answers of 400 or above instead of {expected}")
    if not told["requests"]:
        faults.append("no answer at all")
    return ", ".join(faults)
