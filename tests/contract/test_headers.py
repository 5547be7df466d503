"""httplint finds nothing wrong in the headers of any kind of answer, and finds those that a faulty service sends."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from tests.contract.linting import Exchange
from tests.contract.verifying import Callers
from tests.support.process import Gunicorn

KEY = {"X-API-Key": "ada's"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Accept-Encoding": "gzip"}
ORIGIN = {"Origin": "https://shop.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "content-type, x-api-key",
}


class Asked(NamedTuple):
    """A request, and the status of its answer."""

    status: int
    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


def _site(**members: Any) -> bytes:
    return json.dumps({"name": "Shop", **members}).encode()


KINDS = {
    "a list": Asked(200, "GET", "/v1/cities?limit=1"),
    "a page of a list": Asked(200, "GET", "/v1/sites?limit=3", KEY),
    "one": Asked(200, "GET", "/v1/cities/2988507"),
    "one's own": Asked(200, "GET", "/v1/sites?external_id=ada-1", KEY),
    "for another origin": Asked(200, "GET", "/v1/cities/2988507", ORIGIN),
    "compressed": Asked(200, "GET", "/v1/sites?limit=20", {**KEY, **GZIP}),
    "HEAD": Asked(200, "HEAD", "/v1/cities?limit=1"),
    "HEAD, compressed": Asked(200, "HEAD", "/v1/sites?limit=20", {**KEY, **GZIP}),
    "not modified": Asked(304, "GET", "/v1/cities/2988507", {"If-None-Match": "*"}),
    "not modified, compressed": Asked(
        304, "GET", "/v1/sites?limit=20", {**KEY, **GZIP, "If-None-Match": "*"}
    ),
    "added": Asked(201, "POST", "/v1/sites", {**KEY, **JSON}, _site()),
    "imported": Asked(200, "POST", "/v1/sites/import", {**KEY, "Content-Type": "text/csv"}, b"name\nShop\n"),
    "exported as CSV": Asked(200, "GET", "/v1/sites/export?format=csv", KEY),
    "exported as JSON lines": Asked(
        200, "GET", "/v1/sites/export", {**KEY, "Accept": "application/x-ndjson"}
    ),
    "exported as GeoJSON": Asked(200, "GET", "/v1/sites/export?format=geojson", KEY),
    "HEAD of an export": Asked(200, "HEAD", "/v1/sites/export?format=csv", KEY),
    "bad rows": Asked(
        400, "POST", "/v1/sites/import", {**KEY, "Content-Type": "text/csv"}, b"name,lat\nA,91\n"
    ),
    "a bad request": Asked(400, "GET", "/v1/cities?limit=0"),
    "a bad body": Asked(400, "POST", "/v1/sites", {**KEY, **JSON}, b"{"),
    "no caller": Asked(401, "GET", "/v1/sites"),
    "an unknown caller": Asked(401, "GET", "/v1/sites", {"X-API-Key": "unknown"}),
    "nothing there": Asked(404, "GET", "/v1/cities/1"),
    "no such address": Asked(404, "GET", "/nowhere"),
    "another method": Asked(405, "DELETE", "/v1/cities"),
    "no such form": Asked(406, "GET", "/v1/sites/export", {**KEY, "Accept": "image/png"}),
    "a conflict": Asked(409, "POST", "/v1/sites", {**KEY, **JSON}, _site(external_id="ada-1")),
    "too large": Asked(413, "POST", "/v1/sites", {**KEY, **JSON, "Content-Length": str(1 << 24)}),
    "another media type": Asked(415, "POST", "/v1/sites", {**KEY, "Content-Type": "text/plain"}, b"Shop"),
    "a preflight": Asked(204, "OPTIONS", "/v1/sites", PREFLIGHT),
    "OPTIONS": Asked(204, "OPTIONS", "/v1/sites"),
    "the front page": Asked(200, "GET", "/", {"Accept": "text/html"}),
    "the front page for programs": Asked(200, "GET", "/"),
    "a file": Asked(200, "GET", "/static/style.css"),
    "a compressed file": Asked(200, "GET", "/static/style.css", GZIP),
    "a part of a file": Asked(206, "GET", "/static/style.css", {"Range": "bytes=0-9"}),
    "Swagger UI": Asked(200, "GET", "/v1/ui/"),
    "a file of Swagger UI": Asked(200, "GET", "/v1/ui/swagger-ui.css"),
    "the specification": Asked(200, "GET", "/v1/openapi.json"),
    "a redirect": Asked(308, "GET", "/ui/"),
    "alive": Asked(200, "GET", "/health/live"),
    "ready": Asked(200, "GET", "/health/ready"),
    "metrics": Asked(200, "GET", "/metrics"),
}


def _answer(service: Gunicorn, callers: Callers, asked: Asked) -> Exchange:
    headers = {**asked.headers}
    if headers.get("X-API-Key") == KEY["X-API-Key"]:
        headers["X-API-Key"] = callers.keys["ada"]
    answer = Exchange(service.url, asked.method, asked.target, headers, asked.body)
    assert answer.status == asked.status, answer.content
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wrong_with_the_headers(sound: Gunicorn, callers: Callers, kind: str) -> None:
    answer = _answer(sound, callers, KINDS[kind])
    assert answer.faults() == []
    assert (answer.header("content-encoding") == "gzip") == ("compressed" in kind and answer.status == 200)


@pytest.mark.parametrize("kind", ["a site", "a change", "an outdated change", "the end of a site"])
def test_nothing_is_wrong_with_the_headers_of_versions(sound: Gunicorn, callers: Callers, kind: str) -> None:
    added = _answer(sound, callers, KINDS["added"])
    place = {"target": added.header("location") or ""}
    patch = {**KEY, "Content-Type": "application/merge-patch+json"}
    asked = {
        "a site": Asked(200, "GET", headers=KEY, **place),
        "a change": Asked(200, "PATCH", headers=patch, body=b'{"city": "Paris"}', **place),
        "an outdated change": Asked(
            412, "PATCH", headers={**patch, "If-Match": '"7"'}, body=b'{"city": "Paris"}', **place
        ),
        "the end of a site": Asked(204, "DELETE", headers=KEY, **place),
    }
    assert _answer(sound, callers, asked[kind]).faults() == []


@pytest.mark.parametrize(("status", "target"), [(200, "/v1/sound"), (500, "/v1/crash"), (503, "/v1/busy")])
def test_nothing_is_wrong_with_the_headers_of_failures(
    faulty: Gunicorn, callers: Callers, status: int, target: str
) -> None:
    assert _answer(faulty, callers, Asked(status, "GET", target)).faults() == []


def test_nothing_is_wrong_with_the_headers_of_limits(strict: Gunicorn, callers: Callers) -> None:
    within = Asked(200, "GET", "/v1/cities/2988507")
    beyond = within._replace(status=429)
    answers = [_answer(strict, callers, asked) for asked in (within, within, beyond)]
    assert [answer.faults() for answer in answers] == [[], [], []]
    assert all(answer.header("ratelimit") and answer.header("ratelimit-policy") for answer in answers)
    assert answers[-1].header("retry-after")


PLANTED = {
    "etag-without-quotes": "ETag",
    "a-date-that-is-none": "Last-Modified",
    "a-lifetime-that-is-no-number": "max-age",
    "a-location-with-a-space": "Location",
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(faulty: Gunicorn, callers: Callers, fault: str) -> None:
    found = _answer(faulty, callers, Asked(200, "GET", f"/v1/wrong-headers/{fault}")).faults()
    assert any(PLANTED[fault] in each for each in found), found
