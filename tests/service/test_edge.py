"""What every answer gets, whoever made it: request id, CORS, caching, compression, methods, problems."""

import gzip
import json
import logging
import re

import psycopg2
import pytest
import requests

from swagger_server.problems import describe, report
from tests.support.process import Gunicorn, wait_until
from tests.support.servers import Database

ORIGIN = {"Origin": "https://shop.example"}


def get(ledger: Gunicorn, path: str, **options) -> requests.Response:
    return requests.get(f"{ledger.url}{path}", timeout=20, **options)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ledger/entries", 200),
        ("GET", "/ledger/entries?unknown=1", 400),
        ("GET", "/ledger/secret", 401),
        ("GET", "/nowhere", 404),
        ("GET", "/ledger/entries/999999", 404),
        ("DELETE", "/ledger/entries", 405),
        ("POST", "/ledger/write-then-raise", 500),
        ("GET", "/ledger/lost", 503),
    ],
)
def test_every_answer_can_be_read_from_another_origin(ledger: Gunicorn, method: str, path: str, status: int):
    answer = requests.request(method, ledger.url + path, headers=ORIGIN, timeout=20)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    if status >= 400:
        problem = answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert set(problem) == {"type", "title", "status", "detail", "instance", "request_id"}
        assert problem["status"] == status
        assert problem["request_id"] == answer.headers["X-Request-ID"]
        assert problem["instance"] == path.split("?")[0]


def test_the_instance_of_a_problem_is_a_uri(ledger: Gunicorn):
    problem = get(ledger, "/no%20such%2Fthing/caf%C3%A9/%ff?q=1").json()
    assert problem["instance"] == "/no%20such/thing/caf%C3%A9/%EF%BF%BD"


def test_a_preflight_is_answered_without_the_controller(ledger: Gunicorn):
    asked = {
        **ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-api-key",
    }
    answer = requests.options(f"{ledger.url}/ledger/entries", headers=asked, timeout=20)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type, x-api-key"
    assert answer.headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize("path", ["/metrics", "/pool", "/pool.json", "/%6detrics"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_is_for_those_who_run_the_service_no_page_of_another_origin_reads(
    ledger: Gunicorn, method: str, path: str
):
    asked = {**ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = requests.request(method, ledger.url + path, headers=asked, timeout=20)
    assert answer.status_code in (200, 204, 404)  # there is no page of the pools for this database
    assert [name for name in answer.headers if name.lower().startswith("access-control-")] == []
    assert "X-Request-ID" in answer.headers


def test_options_and_405_name_the_methods_of_the_path(ledger: Gunicorn):
    options = requests.options(f"{ledger.url}/ledger/entries/1", timeout=20)
    refused = requests.post(f"{ledger.url}/ledger/entries/1", timeout=20)
    assert (options.status_code, options.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")
    assert requests.options(f"{ledger.url}/nowhere", timeout=20).status_code == 404


def test_a_sane_request_id_is_taken_over_and_another_is_made(ledger: Gunicorn):
    taken = get(ledger, "/ledger/entries", headers={"X-Request-ID": "order-42/retry:1"})
    made = get(ledger, "/ledger/entries", headers={"X-Request-ID": "no\u00a0good {}".encode("latin-1")})
    assert taken.headers["X-Request-ID"] == "order-42/retry:1"
    assert re.fullmatch("[0-9a-f]{32}", made.headers["X-Request-ID"])
    assert "order-42/retry:1" in ledger.log()


def test_head_has_the_headers_of_get_and_no_body(ledger: Gunicorn):
    url = f"{ledger.url}/ledger/values"
    full, head = requests.get(url, timeout=20), requests.head(url, timeout=20)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers[name] == full.headers[name]


def test_what_did_not_change_is_a_304(ledger: Gunicorn):
    first = get(ledger, "/ledger/values")
    again = get(ledger, "/ledger/values", headers={"If-None-Match": first.headers["ETag"], **ORIGIN})
    other = get(ledger, "/ledger/values", headers={"If-None-Match": 'W/"something else"'})
    assert first.headers["Cache-Control"] == "max-age=300"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Type" not in again.headers
    assert other.status_code == 200


def test_an_answer_to_a_key_is_private(ledger: Gunicorn):
    with_login = get(ledger, "/ledger/values", headers={"Authorization": "Bearer x"})
    assert with_login.headers["Cache-Control"] == "private, max-age=300"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/ledger/entries", "no-cache"),
        ("/ledger/entries/{number}", "no-cache"),
        ("/ledger/values", "max-age=300"),
    ],
)
def test_what_the_spec_also_writes_is_asked_for_each_time(ledger: Gunicorn, path: str, kept: str):
    entry = {"name": f"{len(path)} {ledger.pid}", "amount": 1}
    written = requests.post(f"{ledger.url}/ledger/entries", json=entry, timeout=20).json()
    path = path.format_map(written)
    first = get(ledger, path)
    assert (first.status_code, first.headers["Cache-Control"]) == (200, kept)
    again = get(ledger, path, headers={"If-None-Match": first.headers["ETag"], "Cookie": "a=b"})
    assert (again.status_code, again.headers["Cache-Control"]) == (304, f"private, {kept}")


def test_large_answers_are_compressed_for_who_asks(ledger: Gunicorn):
    plain = get(ledger, "/ledger/openapi.json", headers={"Accept-Encoding": "identity"})
    refused = get(ledger, "/ledger/openapi.json", headers={"Accept-Encoding": "gzip;q=0"})
    small = get(ledger, "/ledger/values", headers={"Accept-Encoding": "gzip"})
    with get(ledger, "/ledger/openapi.json", headers={"Accept-Encoding": "br, gzip"}, stream=True) as packed:
        body = packed.raw.read()
    assert gzip.decompress(body) == plain.content
    assert len(body) == int(packed.headers["Content-Length"]) < len(plain.content)
    assert packed.headers["ETag"] == plain.headers["ETag"]
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in {**plain.headers, **refused.headers, **small.headers}


@pytest.mark.parametrize(
    ("amount", "status", "line"),
    [
        (
            -1,
            400,
            'CheckViolation: new row for relation "entry" violates check constraint "entry_amount_check"',
        ),
        (1, 409, 'UniqueViolation: duplicate key value violates unique constraint "entry_name_key"'),
    ],
)
def test_why_the_database_refused_is_in_the_log_without_the_values(
    ledger: Gunicorn, amount: int, status: int, line: str
):
    def post(amount: int) -> requests.Response:
        return requests.post(
            f"{ledger.url}/ledger/entries", json={"name": "refused", "amount": amount}, timeout=20
        )

    post(1)
    answer = post(amount)
    assert answer.status_code == status
    assert "entry" not in answer.json()["detail"]
    told = f"request_id={answer.json()['request_id']}"
    wait_until(lambda: ledger.log().count(told) == 2)  # the line of the request itself comes last
    logged = [each for each in ledger.log().splitlines() if told in each]
    assert [line in each for each in logged] == [True, False]
    assert not [each for each in logged if "refused" in each]


def test_a_value_that_the_database_cannot_read_is_not_in_the_log(
    database: Database, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(psycopg2.Error) as caught:
        database.execute("SELECT %s::int", ("secret",))
    with caplog.at_level(logging.INFO):
        report(caught.value, describe(caught.value))
    assert [record.getMessage() for record in caplog.records] == ["InvalidTextRepresentation"]


def test_server_timing_and_the_log_tell_where_the_time_went(ledger: Gunicorn):
    answer = get(ledger, "/ledger/sleep?seconds=0.2", headers={"X-Request-ID": "timed-request"})
    timings = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"]))
    assert float(timings["sql"]) >= 200
    assert float(timings["total"]) >= float(timings["sql"]) + float(timings["pool"]) - 0.2
    (line,) = [line for line in ledger.log().splitlines() if "timed-request" in line]
    assert "operation=tests.second_spec.controllers.sleep" in line
    assert "GET /ledger/sleep 200" in line
    assert re.search(r"sql_ms=2\d\d", line)


def test_swagger_ui_and_the_specification_are_served(ledger: Gunicorn):
    page = get(ledger, "/ledger/ui/")
    plain = get(ledger, "/ledger/ui/swagger-ui.css", headers={"Accept-Encoding": "identity"})
    packed = get(ledger, "/ledger/ui/swagger-ui.css")
    assert "Swagger UI" in page.text
    assert int(plain.headers["Content-Length"]) == len(plain.content) > 10_000
    assert packed.content == plain.content
    # One strong validator must not stand for two different bodies.
    assert packed.headers["ETag"] == f"W/{plain.headers['ETag']}"
    assert json.loads(get(ledger, "/ledger/openapi.json").text)["info"]["title"] == "A small ledger"


def test_health_tells_of_each_database(ledger: Gunicorn):
    live, ready = get(ledger, "/health/live"), get(ledger, "/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert ready.json() == {"status": "ok", "databases": {"default": "ok", "other": "ok"}}
    assert live.headers["Cache-Control"] == ready.headers["Cache-Control"] == "no-store"


def test_nothing_of_the_inside_is_told(ledger: Gunicorn):
    answer = requests.post(f"{ledger.url}/ledger/entries", json={"name": "x", "amount": -1}, timeout=20)
    assert answer.status_code == 400
    assert not re.search("entry|constraint|INSERT|psycopg2", answer.text.replace("/ledger/entries", ""))
