"""The database's own limit: pgbench with the statement of the point lookup, and no service between."""

import re
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from benchmarks.harness.database import Server
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.load import Sample
from benchmarks.harness.services import PGBENCH, PREPARED, Service
from benchmarks.harness.workloads import Workload
from swagger_server.queries.airports import AIRPORT

MISSING = (
    "pgbench is not installed: the database's own limit is left out (Debian: apt-get install postgresql)"
)
_MODES = {PGBENCH: "simple", PREPARED: "prepared"}
# Each session plans each script's statement once.
_MOST_SCRIPTS = 4


def is_installed() -> bool:
    """Whether there is a pgbench."""
    return shutil.which("pgbench") is not None


def measure(
    service: Service, server: Server, workload: Workload, *, connections: int, seconds: float, round_: int
) -> Sample:
    """Run the lookups of the workload for a while."""
    sessions, before = server.sessions(), server.cpu_seconds()
    with tempfile.TemporaryDirectory(prefix="pgbench-") as folder:
        told = _run(
            server, _scripts(server, workload, Path(folder)), _MODES[service.name], connections, seconds
        )
    server.wait_until_sessions_end(sessions)
    spent = server.cpu_seconds() - before
    requests = int(_number(r"actually processed: (\d+)", told))
    return Sample(
        service=service.name,
        workload=workload.name,
        connections=connections,
        round=round_,
        requests=requests,
        per_second=_number(r"tps = ([\d.]+)", told),
        p50_ms=0.0,
        p99_ms=0.0,
        app_us=0.0,
        database_us=spent / requests * 1e6,
        foreign=0.0,
        fault="" if _number(r"failed transactions: (\d+)", told) == 0 else "failed transactions",
    )


def _scripts(server: Server, workload: Workload, folder: Path) -> list[Path]:
    """A script for each code: pgbench has no variables of text."""
    # ":MI" in a string would be taken for a variable.
    sql = AIRPORT.replace("'HH24:MI'", "'HH24' || chr(58) || 'MI'")
    scripts = []
    with closing(psycopg2.connect(**server.arguments)) as conn, conn.cursor() as cur:
        for number, request in enumerate(workload.requests[:_MOST_SCRIPTS]):
            code = urlsplit(request.path).path.rpartition("/")[2]
            scripts.append(folder / f"{number}.sql")
            scripts[-1].write_bytes(cur.mogrify(sql, {"code": code}) + b";\n")
    return scripts


def _run(server: Server, scripts: list[Path], mode: str, connections: int, seconds: float) -> str:
    where = server.arguments
    login = ["-h", where["host"], "-p", str(where["port"]), "-U", where["user"], where["dbname"]]
    load = ["-n", "-M", mode, "-j", "1", "-c", str(connections), "-T", str(max(1, round(seconds)))]
    files = [word for script in scripts for word in ("-f", str(script))]
    ended = subprocess.run(
        ["pgbench", *load, *files, *login], capture_output=True, text=True, timeout=seconds + 60
    )
    if ended.returncode != 0:
        raise BenchmarkError(f"pgbench failed: {ended.stderr[-500:]}")
    return ended.stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise BenchmarkError(f"pgbench told no {pattern!r}: {text[:500]}")
    return float(found[1])
