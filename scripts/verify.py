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
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.contract.verifying import SPEC, UNLIMITED, Callers, compile_client, run_client, schemathesis
from tests.service.conftest import environment_for
from tests.support.filled import filled_cluster, remove_filled
from tests.support.process import Gunicorn, start_gunicorn
from tests.support.servers import PrivateServer

WORKERS = 2
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


def _generated_requests(
    folder: Path, service: Gunicorn, callers: Callers, cases: int, seed: int | None
) -> bool:
    started = time.monotonic()
    each = math.ceil(cases / _operations())
    chosen = () if seed is None else ("--seed", str(seed))
    found = schemathesis(service.url, folder, "--max-examples", str(each), *chosen, env=callers.environment)
    print(found.text if not found.is_clean else _summary(found.text))
    print(f"schemathesis: {found.cases} requests in {time.monotonic() - started:.0f} s")
    if found.cases < cases:
        print(f"schemathesis made fewer requests than {cases}")
    return found.is_clean and found.cases >= cases


def _silence(service: Gunicorn) -> bool:
    """Whether the service has had nothing to complain of, of which its clients may not have been told."""
    complaints = [line for line in service.log().splitlines() if " ERROR " in line or "Traceback" in line]
    print("\n".join(complaints[:20]), end="\n" if complaints else "")
    return not complaints


def _operations() -> int:
    paths = yaml.safe_load(SPEC.read_text(encoding="utf-8"))["paths"]
    return sum(len(operations) for operations in paths.values())


def _summary(text: str) -> str:
    return text[text.find("=== SUMMARY") :]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000, help="requests to generate at least (20000)")
    parser.add_argument("--seed", type=int, help="of another run than schemathesis.toml's")
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
