"""A client of /v1/sites that may be killed at any moment: a process that says what it does before it does it.

    python crash_client.py URL KEY [JOB ...]

Writes `begin JOB` before the first attempt at a job, and `done JOB STATUS ID` once it is answered with a 2xx; an
answer that nothing excuses as `wrong JOB STATUS TEXT`. A job is sent with its name as the Idempotency-Key until it
is answered, whatever happens to the connection, the worker or the database meanwhile. The jobs of the command line,
which another client has begun, come first. Ends when its standard input does.
"""

import json
import secrets
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import requests

IMPORT_ROWS = 200
_IMPORTS = "import-"
_ONE_IN = 8
"""How many jobs there are for each import among them."""

_PATIENCE = 20.0  # seconds for an answer
_PAUSE = 0.05  # seconds to the next attempt
_EXCUSED = frozenset({429, 502, 503, 504})
"""Statuses of a service that is busy, or whose database is away: to be tried again."""


@dataclass(frozen=True)
class Job:
    """One site, or an import of IMPORT_ROWS; what is sent follows from the name alone."""

    name: str

    @property
    def is_import(self) -> bool:
        return self.name.startswith(_IMPORTS)

    def sites(self) -> list[dict[str, object]]:
        if not self.is_import:
            return [{"name": self.name, "tags": [self.name], "attributes": {"of": self.name}}]
        return [
            {"name": f"{self.name}-{n}", "tags": [self.name], "external_id": f"{self.name}-{n}"}
            for n in range(IMPORT_ROWS)
        ]

    def send(self, session: requests.Session, url: str) -> requests.Response:
        headers = {"Idempotency-Key": self.name}
        if not self.is_import:
            return session.post(f"{url}/v1/sites", json=self.sites()[0], headers=headers, timeout=_PATIENCE)
        lines = b"".join(json.dumps(site).encode() + b"\n" for site in self.sites())
        headers["Content-Type"] = "application/x-ndjson"
        return session.post(f"{url}/v1/sites/import", data=lines, headers=headers, timeout=_PATIENCE)


def _jobs(given: list[str]) -> Iterator[Job]:
    yield from map(Job, given)
    while not _is_over():
        kind = _IMPORTS if secrets.randbelow(_ONE_IN) == 0 else "site-"
        yield Job(kind + secrets.token_hex(8))


def _is_over() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def _say(*words: object) -> None:
    print(*words, flush=True)


def _do(job: Job, session: requests.Session, url: str) -> None:
    _say("begin", job.name)
    while True:
        try:
            answer = job.send(session, url)
        except requests.RequestException:
            time.sleep(_PAUSE)
            continue
        if answer.ok:
            _say("done", job.name, answer.status_code, "-" if job.is_import else answer.json()["id"])
            return
        if answer.status_code not in _EXCUSED:
            _say("wrong", job.name, answer.status_code, answer.text.replace("\n", " "))
            return
        time.sleep(_PAUSE)


def main() -> None:
    url, key, *given = sys.argv[1:]
    session = requests.Session()
    session.headers["X-API-Key"] = key
    for job in _jobs(given):
        _do(job, session, url)


if __name__ == "__main__":
    main()
