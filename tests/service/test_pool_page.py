"""/pool as JSON: every connection of every worker, who has it and who waits, whatever the worker class."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

SLEEP = "tests.second_spec.controllers.sleep"

BACKENDS = """SELECT pid FROM pg_stat_activity
WHERE application_name LIKE 'swagger_server%%' AND datname = current_database()"""


def look(service: Gunicorn) -> Any:
    answer = requests.get(f"{service.url}/pool.json", timeout=20)
    assert answer.status_code == 200
    return answer.json()


def connections(picture: Any, state: str) -> list[Any]:
    return [
        each
        for worker in picture["workers"]
        for pool in worker["pools"]
        for each in pool["connections"]
        if each["state"] == state
    ]


def queue(picture: Any) -> list[Any]:
    """Who waits for a connection, or, where a worker has no more threads than connections, for a thread."""
    for_connections = [pool["queue"] for worker in picture["workers"] for pool in worker["pools"]]
    for_threads = [worker["queue"] for worker in picture["workers"]]
    return [each for part in for_connections + for_threads for each in part]


def seen(service: Gunicorn, wanted: Callable[[Any], object]) -> Any:
    """A picture that shows what is wanted."""
    found: list[Any] = []

    def is_there() -> object:
        found[:] = [look(service)]
        return wanted(found[0])

    wait_until(is_there, explain=lambda: str(found and found[0]["workers"]))
    return found[0]


@pytest.mark.parametrize(
    "how",
    [
        ("-k", OWN_WORKER, "-w", "2"),
        ("-k", "gthread", "-w", "2", "--threads", "8"),
        ("-k", "sync", "-w", "4"),
        ("-k", "gevent", "-w", "2", "--preload"),
        ("-k", "asgi", "-w", "2"),
    ],
    ids=lambda how: how[1].rpartition(".")[2],
)
def test_who_has_a_connection_and_who_waits(ledger_database: Database, how: tuple[str, ...]):
    env = environment_for(
        {"default": ledger_database}, POOL_MAX="1", POOL_TIMEOUT="20", SERVER_POOL_PAGE="yes"
    )
    is_sync = "sync" in how  # has one request at a time, and so none that waits for a connection
    with start_gunicorn(*how, env=env, app=LEDGER) as service, ThreadPoolExecutor(4) as clients:
        count = int(how[3])
        idle = seen(
            service, lambda found: len(found["workers"]) == count and len(connections(found, "idle")) == count
        )
        assert sorted(worker["pid"] for worker in idle["workers"]) == sorted(service.workers())
        assert {each["backend_pid"] for each in connections(idle, "idle")} == {
            pid for (pid,) in ledger_database.execute(BACKENDS)
        }

        asked = [
            clients.submit(
                requests.get,
                f"{service.url}/ledger/sleep?seconds=2",
                headers={"X-Request-ID": f"request-{number}"},
            )
            for number in range(3 if is_sync else 4)
        ]
        busy = seen(
            service,
            lambda found: (
                len(connections(found, "in use")) + len(queue(found)) == len(asked)
                and all(each["statement_seconds"] is not None for each in connections(found, "in use"))
            ),
        )
        held, waiting = connections(busy, "in use"), queue(busy)
        ids = {f"request-{number}" for number in range(len(asked))}
        assert {each["path"] for each in held + waiting} == {"/ledger/sleep"}
        assert {each["operation"] for each in held} == {SLEEP}
        assert {each["request_id"] for each in held} <= ids
        assert is_sync or waiting
        [pool] = busy["pools"]
        assert (pool["name"], pool["max"], pool["in_use"]) == ("default", count, len(held))
        if how[1] in ("gthread", "gevent"):
            # Each of them has a thread, and is known by name.
            assert {each["operation"] for each in waiting} == {SLEEP}
            assert {each["request_id"] for each in held + waiting} == ids
            assert pool["waiting"] == len(waiting)
        # The last minutes tell of it, too.
        seen(service, lambda found: max(line[1] for line in found["pools"][0]["history"]) == len(held))
        assert [each.result().status_code for each in asked] == [200] * len(asked)


def test_a_worker_that_stands_still_or_is_gone_holds_nobody_up(ledger_database: Database):
    env = environment_for({"default": ledger_database}, SERVER_POOL_PAGE="yes")
    with start_gunicorn("-k", OWN_WORKER, "-w", "2", env=env, app=LEDGER) as service:
        seen(service, lambda found: len(found["workers"]) == 2)
        frozen, living = service.workers()
        os.kill(frozen, signal.SIGSTOP)
        try:
            picture = until_answered_by(service, living)
            assert picture["silent"] == [frozen]
            assert [worker["pid"] for worker in picture["workers"]] == [living]
        finally:
            os.kill(frozen, signal.SIGCONT)
        os.kill(frozen, signal.SIGKILL)
        after = seen(service, lambda found: len(found["workers"]) == 2 and frozen not in pids(found))
        assert after["silent"] == []
        assert sorted(pids(after)) == sorted(service.workers())


def until_answered_by(service: Gunicorn, pid: int) -> Any:
    """The frozen one may be given the request first, and does not answer."""
    while True:
        try:
            return requests.get(f"{service.url}/pool.json", timeout=3).json()
        except requests.Timeout:
            continue


def pids(picture: Any) -> list[int]:
    return [worker["pid"] for worker in picture["workers"]]


def test_the_page_is_there_when_it_is_asked_for(ledger_database: Database):
    env = environment_for({"default": ledger_database}, SERVER_POOL_PAGE="yes")
    with start_gunicorn("-k", "gthread", "-w", "1", env=env, app=LEDGER) as service:
        page = requests.get(f"{service.url}/pool", headers={"Accept": "text/html"}, timeout=20)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert "Accept" in page.headers["Vary"]
        told = requests.get(f"{service.url}/pool", headers={"Accept": "application/json"}, timeout=20)
        assert told.headers["Cache-Control"] == "no-store"
        assert [pool["name"] for pool in told.json()["pools"]] == ["default"]
        assert requests.get(f"{service.url}/pool/page.py", timeout=20).status_code == 404


def test_there_is_no_page_for_somebodys_own_database_unless_it_is_asked_for(ledger_database: Database):
    env = environment_for({"default": ledger_database})
    with start_gunicorn("-k", "gthread", "-w", "1", env=env, app=LEDGER) as service:
        assert requests.get(f"{service.url}/pool", timeout=20).status_code == 404
        assert requests.get(f"{service.url}/pool.json", timeout=20).status_code == 404


def test_with_the_embedded_database_the_page_is_there(embedded_environment: dict[str, str | None]):
    with start_gunicorn("-k", "gthread", "-w", "1", env=embedded_environment) as service:
        assert [pool["name"] for pool in look(service)["pools"]] == ["default"]
