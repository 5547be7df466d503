"""Who asks for too much is told so, by all workers alike: by address, by key, and after too many wrong keys."""

import itertools
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest
import requests

from tests.service.conftest import LEDGER, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

# A day: no window ends in the middle of a test, but for one in thousands.
RATES = {
    "LIMITS_READS_PER_ADDRESS": "20/day",
    "LIMITS_WRITES_PER_ADDRESS": "10/day",
    "LIMITS_READS_PER_KEY": "15/day",
    "LIMITS_WRITES_PER_KEY": "5/day",
    "LIMITS_FAILED_AUTHENTICATIONS": "4/day",
}
POLICY = '"address-reads";q=20;w=86400'
KEYS = {"ada": {"X-API-Key": "right"}, "bob": {"X-API-Key": "bobs"}, "nobody": {"X-API-Key": "guessed"}}

_addresses = (f"192.0.2.{number}" for number in itertools.count(1))


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def limited(request: pytest.FixtureRequest, ledger_database: Database) -> Iterator[Gunicorn]:
    """Two workers behind a proxy that tells the client's address."""
    env = environment_for({"default": ledger_database}, SERVER_TRUSTED_PROXIES="1", **RATES)
    with start_gunicorn("-k", request.param, "-w", "2", "--threads", "4", env=env, app=LEDGER) as service:
        yield service


@pytest.fixture
def address() -> str:
    """Nobody else's."""
    return next(_addresses)


def ask(
    service: Gunicorn, address: str, path: str = "/ledger/values", method: str = "GET", **headers: str
) -> requests.Response:
    """On a connection of its own, so that any worker may get it."""
    headers = {"X-Forwarded-For": address, "Connection": "close", **headers}
    return requests.request(method, service.url + path, headers=headers, timeout=20)


def statuses(answers: list[requests.Response]) -> "Counter[int]":
    return Counter(answer.status_code for answer in answers)


def remaining(answer: requests.Response, policy: str) -> int:
    found = re.search(rf'"{policy}";r=(\d+);t=\d+(,|$)', answer.headers["RateLimit"])
    assert found, answer.headers["RateLimit"]
    return int(found[1])


def test_an_address_reads_so_often_at_all_workers_together(limited: Gunicorn, address: str):
    answers = [ask(limited, address, method=method) for method in ("GET", "HEAD") * 14]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 8
    assert [remaining(answer, "address-reads") for answer in answers] == [*range(19, -1, -1), *[0] * 8]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {POLICY}
    assert ask(limited, next(_addresses)).status_code == 200


def test_the_refusal_says_when_to_come_again(limited: Gunicorn, address: str):
    answer = [ask(limited, address, Origin="https://shop.example") for _ in range(21)][-1]
    problem = answer.json()
    seconds = int(answer.headers["Retry-After"])
    assert answer.headers["RateLimit"] == f'"address-reads";r=0;t={seconds}'
    assert 0 < seconds <= 86_400
    assert problem.pop("detail") == f"More than 20 in 86400 s (address-reads). Try again in {seconds} s."
    assert problem.pop("request_id") == answer.headers["X-Request-ID"]
    assert problem == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "instance": "/ledger/values",
        "violated-policies": ["address-reads"],
    }
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)


def test_health_metrics_and_preflights_count_nowhere(limited: Gunicorn, address: str):
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}

    def watch() -> list[int]:
        paths = ("/health/live", "/health/ready", "/metrics")
        return [
            *(ask(limited, address, path).status_code for path in paths),
            ask(limited, address, "/ledger/entries", "OPTIONS", **preflight).status_code,
        ]

    assert [watch() for _ in range(6)] == [[200, 200, 200, 204]] * 6
    assert remaining(ask(limited, address), "address-reads") == 19
    assert statuses([ask(limited, address) for _ in range(20)]) == {200: 19, 429: 1}
    assert watch() == [200, 200, 200, 204]
    assert ask(limited, address, "/healthy").status_code == 429


def test_writes_are_counted_apart_and_whatever_becomes_of_them(limited: Gunicorn, address: str):
    def writes() -> Iterator[requests.Response]:
        for number in range(6):
            yield ask(limited, address, f"/ledger/entries/{10**6 + number}", "DELETE")
            yield ask(limited, address, "/ledger/entries", "POST")

    answers = list(writes())
    assert statuses(answers) == {404: 5, 400: 5, 429: 2}
    assert answers[-1].headers["RateLimit-Policy"] == '"address-writes";q=10;w=86400'
    assert remaining(ask(limited, address), "address-reads") == 19


def test_an_ipv6_network_is_one_caller(limited: Gunicorn):
    answers = [ask(limited, f"2001:db8:0:7::{number:x}") for number in range(1, 22)]
    assert statuses(answers) == {200: 20, 429: 1}
    assert ask(limited, "2001:db8:0:8::1").status_code == 200


def test_a_key_is_one_caller_from_wherever(limited: Gunicorn):
    reads = [ask(limited, next(_addresses), "/ledger/secret", **KEYS["ada"]) for _ in range(14)]
    # Another key of the same owner, and a stream.
    reads += [ask(limited, next(_addresses), "/ledger/details/secret-stream", **{"X-API-Key": "second"})]
    assert [remaining(answer, "key-reads") for answer in reads] == [*range(14, -1, -1)]
    assert {answer.headers["RateLimit-Policy"] for answer in reads} == {f'{POLICY}, "key-reads";q=15;w=86400'}
    refused = ask(limited, next(_addresses), "/ledger/secret", **KEYS["ada"])
    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["key-reads"])
    assert remaining(refused, "address-reads") == 19
    writes = [ask(limited, next(_addresses), "/ledger/secret", "POST", **KEYS["ada"]) for _ in range(6)]
    assert statuses(writes) == {200: 5, 429: 1}
    assert writes[-1].json()["violated-policies"] == ["key-writes"]
    assert ask(limited, next(_addresses), "/ledger/secret", **KEYS["bob"]).json() == {"user": "bob"}
    # What nobody is asked for a key for is not counted by one.
    assert "key" not in ask(limited, next(_addresses), **KEYS["ada"]).headers["RateLimit"]


def test_too_many_wrong_keys_close_the_door_also_for_the_right_one(limited: Gunicorn, address: str):
    without = [ask(limited, address, "/ledger/secret") for _ in range(6)]
    wrong = [ask(limited, address, "/ledger/secret", **KEYS["nobody"]) for _ in range(5)]
    assert (statuses(without), statuses(wrong)) == ({401: 6}, {401: 4, 429: 1})
    right = ask(limited, address, "/ledger/secret", **KEYS["bob"])
    assert (right.status_code, right.json()["violated-policies"]) == (429, ["address-failures"])
    assert int(right.headers["Retry-After"]) > 0
    assert "user" not in right.text
    assert ask(limited, address).status_code == 200
    assert ask(limited, next(_addresses), "/ledger/secret", **KEYS["bob"]).json() == {"user": "bob"}


def test_counts_outlive_their_worker_a_reload_and_a_hand_over(ledger_database: Database, address: str):
    env = environment_for({"default": ledger_database}, SERVER_TRUSTED_PROXIES="1", **RATES)
    with start_gunicorn("-k", OWN_WORKER, "-w", "2", env=env, app=LEDGER) as service:
        wait_until(lambda: len(service.workers()) == 2)

        def counted(times: int) -> int:
            return [remaining(ask(service, address), "address-reads") for _ in range(times)][-1]

        assert counted(4) == 16
        for pid in service.workers():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: service.log().count("Booting worker") == 4)
        assert counted(4) == 12
        old = set(service.workers())
        service.send(signal.SIGHUP)
        wait_until(lambda: len(service.workers()) == 2 and not old & set(service.workers()))
        assert counted(4) == 8
        service.send(signal.SIGUSR2)
        wait_until(lambda: successor(service) is not None, explain=service.log)
        master = successor(service)
        assert master is not None
        try:
            assert counted(4) == 4
            service.send(signal.SIGTERM)
            service.wait()
            assert counted(2) == 2
        finally:
            master.send_signal(signal.SIGTERM)
            service.wait_until_alone()


def successor(service: Gunicorn) -> psutil.Process | None:
    """The master that SIGUSR2 has started, once it has its workers."""
    children = psutil.Process(service.pid).children()
    return next((child for child in children if len(child.children()) == 2), None)


def test_where_nobody_tells_the_address_the_connections_counts(ledger_database: Database):
    """Without TRUSTED_PROXIES a header changes nothing."""
    env = environment_for({"default": ledger_database}, **RATES)
    with start_gunicorn("-k", OWN_WORKER, "-w", "1", env=env, app=LEDGER) as service:
        answers = [ask(service, next(_addresses)) for _ in range(21)]
    assert statuses(answers) == {200: 20, 429: 1}


def test_uvicorns_worker_believes_no_address_that_a_client_makes_up(ledger_database: Database):
    env = environment_for({"default": ledger_database}, **{**RATES, "LIMITS_READS_PER_ADDRESS": "3/day"})
    with start_gunicorn("-k", "uvicorn_worker.UvicornWorker", "-w", "1", env=env, app=LEDGER) as service:
        answers = [ask(service, f"192.0.2.{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2


def test_a_start_that_lets_uvicorn_believe_them_says_so(ledger_database: Database):
    env = environment_for({"default": ledger_database})
    args = ("-k", "uvicorn_worker.UvicornWorker", "--forwarded-allow-ips", "127.0.0.1")
    with start_gunicorn(*args, env=env, app=LEDGER) as service:
        assert "--forwarded-allow-ips has uvicorn believe X-Forwarded-For" in service.log()
