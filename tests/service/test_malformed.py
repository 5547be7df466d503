"""A thousand malformed requests: each is refused, none is a failure of the service, and nothing is changed by them."""

import json
import os
import re
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
import requests

from swagger_server.key_store import create_key, new_key
from swagger_server.schema import migrate
from tests.api.contract import BASE, SPEC
from tests.service.conftest import environment_for
from tests.service.test_workers import WORKERS
from tests.support import malformed
from tests.support.malformed import Maker, Malformed
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn
from tests.support.servers import Database, temporary_database
from tests.support.yaml_file import read_yaml

COUNT = 1000
MAX_BODY = 65_536
CLIENTS = 8

OPERATIONS = malformed.operations(read_yaml(SPEC), BASE)

TABLES = """SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"""

ROWS = """SELECT (to_jsonb(t) - 'last_used_at')::text FROM {} AS t ORDER BY 1"""


_ALWAYS = frozenset(
    {"length_and_chunks", "two_lengths", "no_length", "no_encoding", "folded", "no_header", "no_request_line"}
)
_HEADS = frozenset({"too_long_line", "too_large_header", "too_many_headers"})

REFUSED_BY_SERVER = {
    "sync": _ALWAYS | _HEADS,
    "gthread": _ALWAYS | _HEADS,
    "gevent": _ALWAYS | _HEADS,
    "asgi": _ALWAYS | _HEADS,
    "uvicorn_worker.UvicornWorker": _ALWAYS | {"too_long_line"},
    OWN_WORKER: _ALWAYS | _HEADS,
}
"""The kinds that a worker's HTTP server refuses before the application sees them, beside those that are cut off."""


@pytest.fixture(scope="module")
def database(postgres: Database) -> Iterator[Database]:
    with temporary_database(postgres, f"malformed_{os.getpid()}") as made:
        with closing(made.connect()) as conn:
            migrate(conn)
        yield made


@pytest.fixture(scope="module")
def key(database: Database) -> str:
    made = new_key()
    with closing(database.connect()) as conn, conn:
        create_key(conn, made, "ada", ("admin",))
    return made


def rows(database: Database) -> dict[str, list[tuple[str]]]:
    """All that is stored, whoever's it is."""
    return {table: database.execute(ROWS.format(table)) for (table,) in database.execute(TABLES)}


def store_something(service: Gunicorn, key: str) -> None:
    """What the operations have as examples, so that there is something to be spoiled."""
    for operation in OPERATIONS:
        if operation.method == "POST" and isinstance(operation.json_body, dict):
            body = {
                name: value for name, value in operation.json_body.items() if not name.endswith("city_id")
            }
            headers = {"X-API-Key": key}
            requests.post(service.url + operation.path, json=body, headers=headers, timeout=20)


def ask(service: Gunicorn, request: Malformed) -> bytes:
    """All that comes back until the server closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), timeout=20) as client:
        with suppress(ConnectionError):
            client.sendall(request.sent)
            if request.kind in malformed.CUT_OFF:
                client.shutdown(socket.SHUT_WR)
        try:
            while piece := client.recv(65536):
                received += piece
        except ConnectionError:
            pass
        except TimeoutError:
            return b"no answer in time, after " + received
    return received


def verdict(answer: bytes) -> str:
    """Who refused, and how; or what is wrong with the answer."""
    if not answer:
        return "closed"
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    if len(statuses) != 1 or not statuses[0].startswith(b"4"):
        return f"WRONG: {answer[:300]!r}"
    if b"x-request-id:" not in head.lower():
        return f"server {statuses[0].decode()}"
    if b"HEAD" not in head and b"content-type: application/problem+json" not in head.lower():
        return f"NO PROBLEM: {answer[:300]!r}"
    if json.loads(body)["status"] != int(statuses[0]):
        return f"OTHER STATUS: {answer[:300]!r}"
    return f"problem {statuses[0].decode()}"


def ask_all(service: Gunicorn, requests: list[Malformed]) -> dict[str, "Counter[str]"]:
    """By the kind of the request, what came of it."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        verdicts = clients.map(lambda each: verdict(ask(service, each)), requests)
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for request, found in zip(requests, verdicts, strict=True):
        wrong = found.split(":")[0].isupper()
        told[request.kind][f"{found} for {request.operation} {request.sent[:400]!r}" if wrong else found] += 1
    return told


@pytest.mark.parametrize("worker", WORKERS)
def test_whatever_is_malformed_is_refused_and_changes_nothing(database: Database, key: str, worker: str):
    count = COUNT if worker == OWN_WORKER else COUNT // 10
    env = environment_for({"default": database}, SERVER_MAX_BODY=str(MAX_BODY), SERVER_LOG_LEVEL="WARNING")
    with start_gunicorn("-k", worker, "-w", "1", "--threads", "8", env=env) as service:
        store_something(service, key)
        before = rows(database)
        maker = Maker(OPERATIONS, service.url.removeprefix("http://"), key, MAX_BODY)
        told = ask_all(service, list(maker.make(count)))
        faults = [each for verdicts in told.values() for each in verdicts if each.split(":")[0].isupper()]
        assert faults == []
        not_by_app = {
            kind for kind, found in told.items() if any(not each.startswith("problem") for each in found)
        }
        assert not_by_app <= malformed.CUT_OFF | REFUSED_BY_SERVER[worker]
        assert requests.get(f"{service.url}/health/ready", timeout=20).status_code == 200
        log = service.log()
    assert rows(database) == before
    assert " ERROR " not in log, log
    assert "Traceback" not in log, log
