"""What a request does to the database, through HTTP on a spec that is not about places, and in its own words."""

import concurrent.futures
import socket

import pytest
import requests

from tests.service.conftest import environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database


def names(database: Database) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM entry ORDER BY number")]


def in_use(ledger: Gunicorn) -> int:
    """Connections lent at this moment, but for the one that answers this."""
    return requests.get(f"{ledger.url}/ledger/session", timeout=10).json()["in_use"] - 1


def test_a_write_is_committed_before_the_answer(ledger: Gunicorn, entries: Database):
    answer = requests.post(f"{ledger.url}/ledger/entries", json={"name": "rent", "amount": 7}, timeout=10)
    assert (answer.status_code, answer.json()) == (201, {"number": 1})
    assert names(entries) == ["rent"]


def test_an_exception_undoes_the_write(ledger: Gunicorn, entries: Database):
    answer = requests.post(f"{ledger.url}/ledger/write-then-raise", timeout=10)
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "ValueError" not in answer.text
    assert names(entries) == []
    assert in_use(ledger) == 0


def test_an_answer_of_400_or_more_undoes_the_write(ledger: Gunicorn, entries: Database):
    answer = requests.post(f"{ledger.url}/ledger/write-then-refuse", timeout=10)
    assert (answer.status_code, answer.json()) == (422, {"refused": True})
    assert names(entries) == []


def test_a_commit_that_fails_is_not_answered_with_a_success(ledger: Gunicorn, entries: Database):
    answer = requests.post(f"{ledger.url}/ledger/write-what-fails-at-commit", timeout=10)
    assert answer.status_code == 409
    assert entries.execute("SELECT count(*) FROM deferred") == [(0,)]


def test_with_get_db_ends_the_transaction_with_the_block(ledger: Gunicorn, entries: Database):
    answer = requests.post(f"{ledger.url}/ledger/committed-block", timeout=10)
    assert answer.status_code == 500
    assert names(entries) == ["in the block"]


def test_a_write_that_a_conflict_undid_is_run_again_with_its_body(ledger: Gunicorn, entries: Database):
    entry = {"name": "lucky", "amount": 1}
    answer = requests.post(f"{ledger.url}/ledger/third-time-lucky", json=entry, timeout=10)
    assert (answer.status_code, answer.json()) == (201, {"attempt": 3})
    assert names(entries) == ["lucky"]


@pytest.mark.parametrize("by", ["block", "autocommit"])
def test_a_conflict_after_a_commit_is_told_and_not_run_again(ledger: Gunicorn, entries: Database, by: str):
    answer = requests.post(f"{ledger.url}/ledger/commit-then-conflict?by={by}", timeout=10)
    assert answer.status_code == 409
    assert "at the same time" in answer.json()["detail"]  # another run would have met the name that is stored
    assert names(entries) == ["once"]


def test_a_get_is_read_only_and_its_statements_have_a_time_limit(ledger: Gunicorn):
    session = requests.get(f"{ledger.url}/ledger/session", timeout=10).json()
    assert session["read_only"] == "on"
    assert session["statement_timeout"] == "2s"


def test_a_write_in_a_get_is_refused_by_the_database(ledger: Gunicorn, entries: Database):
    answer = requests.get(f"{ledger.url}/ledger/write-in-a-get", timeout=10)
    assert answer.status_code == 500
    assert names(entries) == []
    assert "cannot execute INSERT in a read-only transaction" in ledger.log()


def test_transaction_in_a_get_sees_one_state(ledger: Gunicorn):
    answer = requests.get(f"{ledger.url}/ledger/consistent", timeout=10)
    assert answer.json() == {"same_transaction": True, "read_only": "on"}


def test_the_second_touch_is_the_same_connection(ledger: Gunicorn):
    assert requests.get(f"{ledger.url}/ledger/session", timeout=10).json()["same_connection"] is True


def test_one_request_uses_two_databases(
    ledger: Gunicorn, ledger_database: Database, other_database: Database
):
    found = requests.get(f"{ledger.url}/ledger/both-databases", timeout=10).json()
    assert (found["default"][0], found["other"][0]) == (ledger_database.name, other_database.name)
    assert found["default"][1] != found["other"][1]


def test_a_refused_request_borrows_no_connection(ledger: Gunicorn):
    before = requests.get(f"{ledger.url}/ledger/session", timeout=10).json()["checkouts"]
    for _ in range(5):
        refused = requests.get(f"{ledger.url}/ledger/entries?unknown=1", timeout=10)
        assert refused.status_code == 400
        assert "pool" not in refused.headers["Server-Timing"]
    assert requests.get(f"{ledger.url}/ledger/session", timeout=10).json()["checkouts"] == before + 1


def test_a_request_whose_connection_dies_is_told_so(ledger: Gunicorn):
    answer = requests.get(f"{ledger.url}/ledger/lost", timeout=10)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "request connection lost" in ledger.log()
    assert requests.get(f"{ledger.url}/ledger/session", timeout=10).status_code == 200


def test_a_statement_beyond_the_limit_is_a_504(ledger: Gunicorn):
    answer = requests.get(f"{ledger.url}/ledger/sleep?seconds=30", timeout=20)
    assert answer.status_code == 504
    assert answer.json()["detail"] == "The database took too long to answer."
    assert in_use(ledger) == 0


def test_a_client_that_hangs_up_leaves_no_connection_behind(ledger: Gunicorn, entries: Database):
    with socket.create_connection(("127.0.0.1", int(ledger.url.rsplit(":", 1)[1]))) as client:
        client.sendall(b"GET /ledger/sleep?seconds=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: ("active",) in entries.execute(ACTIVE))
    wait_until(lambda: in_use(ledger) == 0)


ACTIVE = "SELECT state FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1%' AND pid <> pg_backend_pid()"


def test_a_stream_is_read_only_and_complete(ledger: Gunicorn):
    answer = requests.get(f"{ledger.url}/ledger/stream?rows=5000", timeout=20)
    assert answer.text == "".join(f"{n} on\n" for n in range(1, 5001))
    assert in_use(ledger) == 0


def test_a_stream_that_nobody_reads_to_its_end_gives_its_connection_back(ledger: Gunicorn):
    with requests.get(f"{ledger.url}/ledger/stream?rows=5000000", stream=True, timeout=20) as answer:
        lines = answer.iter_lines()  # kept: without it the client would hang up
        assert next(lines) == b"1 on"
        assert in_use(ledger) == 1
    wait_until(lambda: in_use(ledger) == 0)
    assert "Error in ASGI application" not in ledger.log()


def test_streams_at_once_are_complete_and_give_their_connections_back(ledger: Gunicorn):
    def read(_number: int) -> str:
        return requests.get(f"{ledger.url}/ledger/stream?rows=3000", timeout=30).text

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        texts = set(threads.map(read, range(8)))
    assert texts == {"".join(f"{n} on\n" for n in range(1, 3001))}
    assert in_use(ledger) == 0


def test_requests_at_once_have_connections_of_their_own(ledger: Gunicorn):
    def call(_number: int) -> int:
        return requests.get(f"{ledger.url}/ledger/sleep?seconds=0.5", timeout=20).status_code

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        assert list(threads.map(call, range(6))) == [200] * 6
    assert in_use(ledger) == 0


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{", "The request body is not valid JSON"),
        (b'{"name": "\xff", "amount": 1}', "The request body is not valid utf-8."),
        (b'{"name": "nan", "amount": NaN}', "NaN is no JSON number"),
        (b'{"name": "x"}', "amount is required"),
        (b"", "RequestBody is required"),
        (b'{"name": "x", "amount": -1}', "The database refused a value of the request."),
    ],
)
def test_a_wrong_body_is_a_400(ledger: Gunicorn, entries: Database, body: bytes, detail: str):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{ledger.url}/ledger/entries", data=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]
    assert names(entries) == []


def test_a_body_in_chunks_is_read(ledger: Gunicorn, entries: Database):
    def chunks():
        yield b'{"name": "chun'
        yield b'ked", "amount": 1}'

    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{ledger.url}/ledger/entries", data=chunks(), headers=headers, timeout=10)
    assert answer.status_code == 201
    assert names(entries) == ["chunked"]


def test_a_body_beyond_the_limit_is_a_413(ledger: Gunicorn, entries: Database):
    body = {"name": "x" * 2_000_000, "amount": 1}
    answer = requests.post(f"{ledger.url}/ledger/entries", json=body, timeout=10)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert names(entries) == []


def test_an_uploaded_file_arrives(ledger: Gunicorn):
    files = {"file": ("notes.txt", b"x" * 100_000, "text/plain")}
    answer = requests.post(f"{ledger.url}/ledger/upload", files=files, timeout=10)
    assert answer.json() == {"name": "notes.txt", "size": 100_000}


def test_values_that_json_lacks_are_exact(ledger: Gunicorn):
    answer = requests.get(f"{ledger.url}/ledger/values", timeout=10)
    assert answer.text == (
        '{"decimal":1.10,"date":"2024-02-29","time":"2024-02-29T12:30:00+00:00",'
        '"uuid":"00000000-0000-0000-0000-000000000001","text":"Köln"}'
    )


def test_security_of_the_spec_is_enforced(ledger: Gunicorn):
    url = f"{ledger.url}/ledger/secret"
    assert requests.get(url, timeout=10).status_code == 401
    assert requests.get(url, headers={"X-API-Key": "wrong"}, timeout=10).status_code == 401
    assert requests.get(url, headers={"X-API-Key": "right"}, timeout=10).json() == {"user": "ada"}


@pytest.mark.parametrize("worker", ["gthread", OWN_WORKER])
def test_a_teardown_function_that_raises_keeps_no_connection(ledger_database: Database, worker: str):
    env = environment_for({"default": ledger_database}, POOL_MAX="2")
    with start_gunicorn("-k", worker, "-w", "1", env=env, app="tests.service.raising_app") as service:
        for path in ("/ledger/entries", "/ledger/stream", "/beside-the-spec"):
            for _ in range(3):
                requests.get(f"{service.url}{path}", headers={"X-Fail": "yes"}, timeout=20)
            assert requests.get(f"{service.url}{path}", timeout=20).status_code == 200
        assert "the teardown of the app's own" in service.log()
        wait_until(lambda: in_use(service) == 0)
