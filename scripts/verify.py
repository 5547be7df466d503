"""The contract, held against the running service by tools that others wrote; takes minutes.

    python scripts/verify.py                   what CI runs: 20,000 generated requests, and a typed client
    python scripts/verify.py --cases 2000      a quicker one

A PostgreSQL and a gunicorn of its own serve the sample data; two owners have keys and sites. schemathesis (all its
checks, links followed) has to find nothing; a client in TypeScript, compiled with the types of the spec, has to get
what they promise. Needs requirements-dev.txt, and node_modules as `make verify` installs them; nothing is fetched. The
exit status is 1 when something is found.
"""

import argparse
import math
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.contract.verifying import (
    SPEC,
    UNLIMITED,
    Callers,
    Findings,
    compile_client,
    run_client,
    schemathesis,
)
from tests.service.conftest import environment_for
from tests.support.filled import filled_cluster, remove_filled
from tests.support.process import Gunicorn, start_gunicorn
from tests.support.servers import PrivateServer

WORKERS = 2
SEED = 20240229
ROUNDS, SCENARIOS = 4, 100
PATIENT = {"SERVER_STATEMENT_TIMEOUT": "20", "SERVER_DEADLINE": "25"}


@contextmanager
def _service(folder: Path) -> Iterator[tuple[Gunicorn, Callers]]:
    with PrivateServer(cluster=filled_cluster()) as server:
        places = server.database().sibling("places")
        callers = Callers(places, folder)
        env = environment_for({"default": places}, **UNLIMITED, **PATIENT)
        # What is made up for a query may be longer than gunicorn takes by itself.
        with start_gunicorn("-w", str(WORKERS), "--limit-request-line", "8190", env=env) as service:
            callers.add_sites(service.url)
            yield service, callers


def _typed_client(folder: Path, service: Gunicorn, callers: Callers) -> bool:
    compiled = compile_client(SPEC, folder)
    if compiled.returncode:
        print(compiled.stdout)
        return False
    ran = run_client(folder, service.url, callers.keys["ada"])
    print(f"typed client: {ran.stdout.strip() or ran.stderr}")
    return ran.returncode == 0


def _generated_requests(folder: Path, service: Gunicorn, callers: Callers, cases: int, seed: int) -> bool:
    """Requests of every kind to each operation, then along the links, from one answer to the next request.

    The links are followed in rounds, each with a seed of its own: a round ends when what it does next depends on what
    it has changed.
    """
    operations = "examples,coverage,fuzzing"
    each = math.ceil(cases / _operations())
    found = [
        _round(folder, service, callers, f"--seed={seed}", f"--phases={operations}", f"--max-examples={each}")
    ]
    for number in range(ROUNDS):
        arguments = (f"--seed={seed + number}", "--phases=stateful", f"--max-examples={SCENARIOS}")
        found.append(_round(folder, service, callers, *arguments))
    made = sum(each.cases for each in found)
    print(f"schemathesis: {made} requests, of which {made - found[0].cases} along links")
    if made < cases:
        print(f"these are fewer than {cases}")
    return all(each.is_clean for each in found) and made >= cases


def _round(folder: Path, service: Gunicorn, callers: Callers, *arguments: str) -> Findings:
    started = time.monotonic()
    found = schemathesis(service.url, folder, *arguments, env=callers.environment)
    print(found.text if not found.is_clean else _outline(found.text))
    print(f"{found.cases} requests in {time.monotonic() - started:.0f} s", flush=True)
    return found


def _silence(service: Gunicorn) -> bool:
    """Whether the service has had nothing to complain of, of which its clients may not have been told."""
    complaints = [line for line in service.log().splitlines() if " ERROR " in line or "Traceback" in line]
    print("\n".join(complaints[:20]), end="\n" if complaints else "")
    return not complaints


def _operations() -> int:
    paths = yaml.safe_load(SPEC.read_text(encoding="utf-8"))["paths"]
    return sum(len(operations) for operations in paths.values())


def _outline(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if re.match("✅|Scenarios|API Links", line))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000, help="requests to generate at least (20000)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"another one than {SEED}")
    arguments = parser.parse_args()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="verify-") as name,
            _service(Path(name)) as (service, callers),
        ):
            good = _typed_client(Path(name), service, callers)
            good &= _generated_requests(Path(name), service, callers, arguments.cases, arguments.seed)
            good &= _silence(service)
            return 0 if good else 1
    finally:
        remove_filled()


if __name__ == "__main__":
    sys.exit(main())
