"""The finer points of HTTP: caches, parts, conditions, lengths, addresses that make no sense, broken streams."""

import gzip
import re
import socket
from collections.abc import Iterable, Iterator

import pytest
import requests
from werkzeug.test import create_environ

from swagger_server import request_id
from swagger_server.config import CorsSettings, ServerSettings
from tests.service.conftest import LEDGER, environment_for
from tests.support.process import OWN_WORKER, Gunicorn, start_gunicorn, wait_until
from tests.support.servers import Database

TEXT = b"0123456789" * 1000  # what the download is
DOWNLOAD = "/ledger/details/download"
PLAIN = {"Accept-Encoding": "identity"}
PACKED = {"Accept-Encoding": "gzip"}


@pytest.fixture(scope="module", params=["gthread", OWN_WORKER])
def proxied(request: pytest.FixtureRequest, ledger_database: Database) -> Iterator[Gunicorn]:
    env = environment_for({"default": ledger_database}, SERVER_TRUSTED_PROXIES="1")
    with start_gunicorn("-k", request.param, "-w", "1", env=env, app=LEDGER) as service:
        yield service


def get(service: Gunicorn, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{service.url}{path}", headers=headers, timeout=20, allow_redirects=False)


def raw(service: Gunicorn, head: str) -> tuple[str, str]:
    """Head and body of the answer to a request that no client library would send."""
    with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), timeout=20) as client:
        client.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        received = b"".join(iter(lambda: client.recv(65536), b""))
    answer_head, _, body = received.decode().partition("\r\n\r\n")
    return answer_head, body


def lines_of(service: Gunicorn, request_id: str) -> list[str]:
    return [line for line in service.log().splitlines() if f"request_id={request_id}" in line]


# Caches


def test_what_a_key_opens_is_for_its_owner_alone(ledger: Gunicorn):
    whole = get(ledger, "/ledger/secret", **{"X-API-Key": "right"})
    stream = get(ledger, "/ledger/details/secret-stream", **{"X-API-Key": "right"})
    assert whole.headers["Cache-Control"] == "private, no-cache"
    assert (stream.text, stream.headers["Cache-Control"]) == ("ada 0\nada 1\nada 2\n", "no-store")
    assert get(ledger, "/ledger/values").headers["Cache-Control"] == "max-age=300"


def test_an_answer_with_a_cookie_is_for_its_owner_alone(ledger: Gunicorn):
    answer = get(ledger, "/ledger/details/cookie")
    assert answer.headers["Set-Cookie"].startswith("visit=1")
    assert answer.headers["Cache-Control"] == "private, max-age=300"


def test_all_that_an_answer_depends_on_is_said(ledger: Gunicorn):
    answer = get(ledger, "/ledger/details/cookie", **PACKED)
    assert answer.headers["Vary"] == "Accept, Accept-Language, Accept-Encoding"


# Parts and conditions


def test_a_part_is_never_compressed(ledger: Gunicorn):
    part = get(ledger, DOWNLOAD, Range="bytes=10-4999", **PACKED)
    assert (part.status_code, part.content) == (206, TEXT[10:5000])
    assert part.headers["Content-Range"] == "bytes 10-4999/10000"
    assert "Content-Encoding" not in part.headers


def test_head_knows_no_parts(ledger: Gunicorn):
    asked = {"Range": "bytes=0-9", "If-Range": '"the-text"', **PLAIN}
    head = requests.head(ledger.url + DOWNLOAD, headers=asked, timeout=20)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "10000")
    assert "Content-Range" not in head.headers


@pytest.mark.parametrize("path", [DOWNLOAD, "/ledger/ui/swagger-ui.css"])
def test_a_304_has_the_tag_of_the_200_that_it_stands_for(ledger: Gunicorn, path: str):
    for asked in (PLAIN, PACKED):
        whole = get(ledger, path, **asked)
        again = get(ledger, path, **asked, **{"If-None-Match": whole.headers["ETag"]})
        assert (whole.status_code, again.status_code) == (200, 304)
        for name in ("ETag", "Cache-Control", "Vary"):
            assert again.headers.get(name, "") == whole.headers[name] or asked == PLAIN, name
        assert again.headers["ETag"] == whole.headers["ETag"]
        assert whole.headers["ETag"].startswith("W/") == (asked == PACKED)


@pytest.mark.parametrize(
    "condition", [{"If-Match": '"another"'}, {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}]
)
def test_the_conditions_of_writes_make_no_304(ledger: Gunicorn, condition: dict[str, str]):
    answer = get(ledger, "/ledger/values", **condition)
    assert (answer.status_code, answer.json()["decimal"]) == (200, 1.1)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/ledger/values", 200), ("/nowhere", 404), ("/ledger/secret", 401), (DOWNLOAD, 200)],
)
@pytest.mark.parametrize("asked", [PLAIN, PACKED])
def test_whole_answers_and_errors_say_how_long_they_are(
    ledger: Gunicorn, path: str, status: int, asked: dict[str, str]
):
    with requests.get(ledger.url + path, headers=asked, stream=True, timeout=20) as answer:
        body = answer.raw.read(decode_content=False)
    head = requests.head(ledger.url + path, headers=asked, timeout=20)
    assert (answer.status_code, head.status_code) == (status, status)
    assert answer.headers["Content-Length"] == head.headers["Content-Length"] == str(len(body))
    if "Content-Encoding" in answer.headers:
        assert gzip.decompress(body) == TEXT


def test_what_has_no_body_has_no_length(ledger: Gunicorn):
    preflight = requests.options(f"{ledger.url}/ledger/values", timeout=20)
    tag = get(ledger, "/ledger/values").headers["ETag"]
    unchanged = get(ledger, "/ledger/values", **{"If-None-Match": tag})
    assert (preflight.status_code, unchanged.status_code) == (204, 304)
    assert "Content-Length" not in {**preflight.headers, **unchanged.headers}


# Addresses that make no sense


@pytest.mark.parametrize(
    "request_line", ["OPTIONS /ledger/values", "DELETE /ledger/values", "GET /ledger/values"]
)
def test_a_host_that_is_none_is_a_problem_like_any_other(ledger: Gunicorn, request_line: str):
    name = f"host-{request_line.split()[0]}"
    head, body = raw(ledger, f"{request_line} HTTP/1.1\r\nHost: a..b\r\nX-Request-ID: {name}")
    assert head.startswith("HTTP/1.1 400 ")
    assert "access-control-allow-origin: *" in head.lower()
    assert f'"request_id":"{name}"' in body
    wait_until(lambda: [line for line in lines_of(ledger, name) if " 400 " in line])


@pytest.mark.parametrize(
    "forwarded",
    [
        {"X-Forwarded-Port": "https"},
        {"X-Forwarded-Port": "-1"},
        {"X-Forwarded-Host": "api.example:port"},
        {"X-Forwarded-Host": "a..b"},
    ],
)
def test_a_forwarded_address_that_is_none_is_a_problem(proxied: Gunicorn, forwarded: dict[str, str]):
    answer = get(proxied, "/ledger/values", **forwarded)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/geo", "/geo/nowhere"),
        ("/geo//", "/geo/nowhere"),
        ("/", "/nowhere"),
        ("//evil.example", "/nowhere"),
        ("/\\evil.example", "/nowhere"),
        ("https://evil.example", "/nowhere"),
        ("/ge\to", "/nowhere"),
    ],
)
def test_a_forwarded_prefix_is_a_path_of_this_host(proxied: Gunicorn, prefix: str, path: str):
    answer = get(proxied, "/nowhere", **{"X-Forwarded-Prefix": f'"{prefix}"'.replace("\\", "\\\\")})
    assert (answer.status_code, answer.json()["instance"]) == (404, path)


# What controllers raise


def test_a_response_given_to_abort_is_the_answer(ledger: Gunicorn):
    answer = get(ledger, "/ledger/details/aborted")
    assert (answer.status_code, answer.text, answer.headers["X-Pot"]) == (418, "no tea", "short")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_response_given_to_abort_by_who_checks_a_key_tells_the_status(ledger: Gunicorn):
    answer = get(ledger, "/ledger/details/guarded", **{"X-API-Key": "any"})
    assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")


def test_a_problem_with_half_a_character_is_told(ledger: Gunicorn):
    answer = get(ledger, "/ledger/details/lone-surrogate")
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no \udc80.")


def test_a_problem_without_a_json_form_is_a_500_like_any_other(ledger: Gunicorn):
    answer = get(ledger, "/ledger/details/unspeakable")
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_problem_of_connexion_keeps_its_members(ledger: Gunicorn):
    answer = get(ledger, "/ledger/details/out-of-credit")
    problem = answer.json()
    assert problem.pop("request_id") == answer.headers["X-Request-ID"]
    assert problem == {
        "type": "https://errors.example/credit",
        "title": "Out of credit",
        "status": 403,
        "detail": "The balance is 30.",
        "instance": "/ledger/details/out-of-credit",
        "balance": 30,
    }


def test_a_refused_value_is_told_in_one_short_line(ledger: Gunicorn):
    small = get(ledger, "/ledger/details/limited?limit=0").json()["detail"]
    long = requests.post(f"{ledger.url}/ledger/entries", json={"name": "x" * 900, "amount": 1}, timeout=20)
    assert small == "limit is 0: must be at least 1"
    assert long.status_code == 400
    assert re.fullmatch('name is "x+…: must have at most 20 characters', long.json()["detail"])
    assert len(long.json()["detail"]) < 120


# Streams


def test_a_stream_that_breaks_off_is_cut_and_told_in_the_log(ledger: Gunicorn):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(ledger, "/ledger/details/broken-stream", **{"X-Request-ID": "broken-off"})
    wait_until(lambda: any("aborted=yes" in line for line in lines_of(ledger, "broken-off")))
    (access,) = [line for line in lines_of(ledger, "broken-off") if "swagger_server.access" in line]
    assert " WARNING " in access
    assert "GET /ledger/details/broken-stream 200" in access
    assert re.search(r" ERROR .*\n(    .*\n)+    .*NotFound: There is no second piece.", ledger.log())


# Connexion, which the edge's problems know, uses what jsonschema is about to replace.
@pytest.mark.filterwarnings("ignore:jsonschema")
@pytest.mark.parametrize("body", [[b"whole"], iter([b"a", b"stream"])])
def test_a_thread_forgets_the_id_of_the_request_that_it_served(body: Iterable[bytes]):
    from swagger_server.edge import with_edge
    from swagger_server.serving import Request, Response, translate

    seen: list[str] = []

    def answer(_request: Request) -> Response:
        seen.append(request_id.current.get())
        return Response(200, [], body)

    environ = create_environ("/", headers={"X-Request-ID": "served"})
    request = Request(translate.scope_from_environ(environ), environ=environ)
    response = with_edge(answer, CorsSettings(), ServerSettings(), lambda _: ())(request)
    assert list(response.chunks())
    response.close()
    assert (seen, request_id.current.get()) == (["served"], "-")
