"""/metrics: its numbers are what the clients and the database saw, over all workers, also after one's death."""

import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.exposition import Scrape
from tests.support.process import CHECKOUT, OWN_WORKER, START_TIMEOUT, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

OPERATION = "tests.second_spec.controllers."
ROUNDS = 12
CLIENTS = 8
WORKERS = 2

# Method, path, what it is counted as, and whether it borrows a connection.
KINDS = [
    ("GET", "/ledger/values", "values", "200", False),
    ("HEAD", "/ledger/values", "values", "200", False),
    ("GET", "/ledger/values?no=1", "values", "400", False),
    ("GET", "/ledger/entries", "list_entries", "200", True),
    ("GET", "/ledger/entries/999999", "get", "404", True),
    ("DELETE", "/ledger/entries/999999", "delete", "404", True),
    ("GET", "/ledger/stream?rows=2000", "stream", "200", True),
    ("GET", "/nowhere/{number}", None, "404", False),
    ("PROPFIND", "/ledger/values", "*", "405", False),
]

ACTIVITY = """SELECT pid, substring(application_name FROM '[0-9]+$')::int,
    query LIKE '%%pg_sleep%%' AND state = 'active'
FROM pg_stat_activity WHERE application_name LIKE 'swagger_server%%' AND datname = current_database()"""


@contextmanager
def ledger(database: Database, *args: str, **more: object) -> Iterator[Gunicorn]:
    env = environment_for({"default": database}, POOL_MIN="1", POOL_MAX="5", SERVER_DEADLINE="0")
    with start_gunicorn(*args, env=env, app=LEDGER, **more) as service:  # type: ignore[arg-type]
        yield service


def ask(service: Gunicorn, number: int) -> tuple[str, str, str]:
    """One request, and as what it is to be counted by the answer that came."""
    method, path, operation, status, _ = KINDS[number % len(KINDS)]
    answer = requests.request(method, service.url + path.format(number=number), timeout=20)
    assert str(answer.status_code) == status, answer.text
    if operation is None or operation == "*":
        return "other", "other" if method == "PROPFIND" else method, status
    return OPERATION + operation, method, status


def ask_all(service: Gunicorn) -> "Counter[tuple[str, str, str]]":
    with ThreadPoolExecutor(CLIENTS) as clients:
        return Counter(clients.map(lambda number: ask(service, number), range(ROUNDS * len(KINDS))))


BORROWING = ROUNDS * sum(borrows for *_, borrows in KINDS)


@pytest.mark.parametrize(
    ("how", "elsewhere"),
    [
        (("-k", OWN_WORKER), False),
        (("-k", "gthread", "--threads", "4", "--preload"), False),
        (("-k", "gevent", "--preload"), False),
        (("-k", "sync"), True),
    ],
    ids=["own", "gthread-preload", "gevent-preload", "sync-chdir"],
)
def test_the_numbers_are_what_the_clients_counted_over_a_workers_death(
    ledger_database: Database, tmp_path: Path, how: tuple[str, ...], elsewhere: bool
):
    """With --chdir gunicorn.conf.py is not read."""
    args, more = (*how, "-w", str(WORKERS)), {}
    if elsewhere:
        args, more = (*args, "--chdir", str(CHECKOUT)), {"cwd": tmp_path}
    with ledger(ledger_database, *args, **more) as service:
        wait_until(lambda: Scrape(service).value("swagger_server_workers") == WORKERS, START_TIMEOUT)
        counted = ask_all(service)
        with killed_while_it_sleeps(service, ledger_database) as scrape:
            # What was published a moment before it died.
            assert scrape.value("swagger_server_pool_checkouts_total", pool="default") == BORROWING + 1
        wait_until(lambda: Scrape(service).value("swagger_server_workers") == WORKERS, START_TIMEOUT)
        counted += ask_all(service)

        scrape = Scrape(service)
        found = scrape.answers()
        assert {key: found[key] for key in counted} == counted
        # Nothing else was asked for but the pages that the test itself looked at.
        assert set(found) - set(counted) <= {("other", "GET", "200")}

        sessions = lambda: len(ledger_database.execute(ACTIVITY))  # noqa: E731
        wait_until(lambda: Scrape(service).value("swagger_server_pool_size") == sessions())
        wait_until(
            lambda: Scrape(service).value("swagger_server_pool_checkouts_total") == 2 * BORROWING + 1,
            explain=lambda: str(Scrape(service).value("swagger_server_pool_checkouts_total")),
        )
        # The killed worker never gave its connection back.
        wait_until(
            lambda: Scrape(service).value("swagger_server_pool_checkout_seconds_count") == 2 * BORROWING
        )
        wait_until(lambda: Scrape(service).value("swagger_server_pool_connections", state="in_use") == 0)
        scrape = Scrape(service)
        assert scrape.value("swagger_server_pool_max_connections") == WORKERS * 5
        assert scrape.value("swagger_server_pool_waiting") == 0
        assert scrape.value("swagger_server_pool_down") == 0
        assert scrape.value("swagger_server_pool_connects_total") >= sessions()
        folder = folder_of(service)
        assert folder.is_dir()
    if not elsewhere:
        assert not folder.exists()


@contextmanager
def killed_while_it_sleeps(service: Gunicorn, database: Database) -> Iterator[Scrape]:
    """A worker is killed in the middle of a request. Yields what was shown before, with all that it had counted."""
    failed: list[Exception] = []

    def sleep() -> None:
        try:
            requests.get(f"{service.url}/ledger/sleep?seconds=30", timeout=20)
        except requests.RequestException as exc:
            failed.append(exc)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    try:
        wait_until(lambda: [row for row in database.execute(ACTIVITY) if row[2]])
        [(backend, worker, _)] = [row for row in database.execute(ACTIVITY) if row[2]]
        total = BORROWING + 1
        wait_until(lambda: Scrape(service).value("swagger_server_pool_checkouts_total") == total)
        # The other workers' is of a moment up to a second ago.
        wait_until(lambda: Scrape(service).value("swagger_server_pool_connections", state="in_use") == 1)
        before = Scrape(service)
        os.kill(worker, signal.SIGKILL)
    finally:
        sleeper.join()
    assert len(failed) == 1
    assert not before.has("swagger_server_request_duration_seconds_count", operation=f"{OPERATION}sleep")
    # No number of it is left among those that are of one moment.
    wait_until(lambda: Scrape(service).value("swagger_server_pool_connections", state="in_use") == 0)
    database.execute("SELECT pg_terminate_backend(%s)", (backend,))
    yield before


def folder_of(service: Gunicorn) -> Path:
    [folder] = Path(tempfile.gettempdir()).glob(f"swagger_server-{os.geteuid()}-{service.pid}-*")
    return folder


def test_a_service_that_was_killed_leaves_nothing_to_the_next(ledger_database: Database):
    with ledger(ledger_database, "-w", "1", "-k", "gthread") as service:
        ask(service, 0)
        killed = folder_of(service)
        service.send(signal.SIGKILL)
        service.wait_until_alone()
    assert killed.exists()
    with ledger(ledger_database, "-w", "1", "-k", "gthread") as service:
        wait_until(lambda: not killed.exists())
        assert Scrape(service).answers()[f"{OPERATION}values", "GET", "200"] == 0


def test_waits_and_refusals_are_counted_by_their_reason(ledger_database: Database):
    env = environment_for({"default": ledger_database}, POOL_MAX="1", POOL_TIMEOUT="0.2")
    with start_gunicorn("-w", "1", "-k", "gthread", "--threads", "4", env=env, app=LEDGER) as service:
        with ThreadPoolExecutor(2) as clients:
            asked = clients.map(requests.get, [f"{service.url}/ledger/sleep?seconds=0.8"] * 2)
            assert sorted(answer.status_code for answer in asked) == [200, 503]
        scrape = Scrape(service)
        assert scrape.value("swagger_server_pool_refusals_total", reason="timeout") == 1
        assert scrape.value("swagger_server_pool_refusals_total") == 1
        assert scrape.value("swagger_server_pool_wait_seconds_count") >= 1
        assert 0.2 <= scrape.value("swagger_server_pool_wait_seconds_sum") < 5
        assert 0.8 <= scrape.value("swagger_server_pool_checkout_seconds_sum") < 5
        requests.get(f"{service.url}/ledger/lost", timeout=20)
        assert Scrape(service).value("swagger_server_pool_losses_total", cause="dead") >= 1


def test_metrics_are_answered_while_every_request_waits(ledger_database: Database):
    env = environment_for({"default": ledger_database}, POOL_MAX="2", POOL_TIMEOUT="10")
    with (
        start_gunicorn("-w", "1", "-k", OWN_WORKER, env=env, app=LEDGER) as service,
        ThreadPoolExecutor(4) as clients,
    ):
        asked = [clients.submit(requests.get, f"{service.url}/ledger/sleep?seconds=2") for _ in range(4)]
        wait_until(lambda: Scrape(service).value("swagger_server_pool_connections", state="in_use") == 2)
        assert not any(each.done() for each in asked)
        assert [each.result().status_code for each in asked] == [200] * 4


def test_metrics_can_be_switched_off(ledger_database: Database):
    env = environment_for(
        {"default": ledger_database},
        SERVER_METRICS="no",
        LIMITS_READS_PER_ADDRESS="0",
        LIMITS_READS_PER_KEY="0",
    )
    with start_gunicorn("-w", "1", "-k", "gthread", env=env, app=LEDGER) as service:
        assert requests.get(f"{service.url}/metrics", timeout=20).status_code == 404
        assert not list(Path(tempfile.gettempdir()).glob(f"swagger_server-*-{service.pid}-*"))
