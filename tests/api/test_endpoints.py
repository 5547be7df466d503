"""Every operation of the spec: its answer, its errors, its caching."""

from typing import Any

import pytest
import requests

from tests.api.contract import Api, Contract

PARIS = 2988507
POINT = {"lat": 48.8566, "lon": 2.3522}

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/countries", {}),
    ("/countries", {"q": "united", "continent": "eu", "currency": "gbp", "language": "EN"}),
    ("/countries/FR", {}),
    ("/countries/fr/subdivisions", {}),
    ("/countries/fra/cities", {"min_population": 200000}),
    ("/countries/FRA/airports", {"has_iata": "true"}),
    ("/cities", {}),
    ("/cities", {"q": "san", "country": "us", "subdivision": "us.ca", "min_population": 50000}),
    (f"/cities/{PARIS}", {}),
    ("/cities/nearest", POINT),
    ("/cities/nearest", {**POINT, "radius_km": 20, "min_population": 100000}),
    ("/airports", {}),
    ("/airports", {"q": "paris", "country": "FRA", "has_iata": "true"}),
    ("/airports/cdg", {}),
    ("/airports/nearest", {**POINT, "radius_km": 100, "has_iata": "false"}),
    ("/timezones", {}),
    ("/timezones", {"country": "us"}),
    ("/currencies", {}),
    ("/languages", {}),
    ("/continents", {}),
    ("/about", {}),
]
LISTS = [path for path in Contract().open_paths() if "{" not in path and path != "/about"]


@pytest.mark.parametrize(("path", "query"), REQUESTS)
def test_each_operation_answers_what_the_spec_announces(api: Api, path: str, query: dict[str, Any]) -> None:
    body = api.get(path, **query)
    assert body.get("items", body)


def test_no_operation_is_left_out(api: Api) -> None:
    asked = {api.contract.template(path) for path, _ in REQUESTS}
    assert asked == set(api.contract.open_paths())


@pytest.mark.parametrize(("path", "query"), REQUESTS)
def test_what_has_not_changed_is_not_sent_again(api: Api, path: str, query: dict[str, Any]) -> None:
    tag = api.answer(path, **query).headers["ETag"]
    assert api.get(path, status=304, headers={"If-None-Match": tag}, **query) is None


@pytest.mark.parametrize("path", Contract().open_paths())
def test_an_unknown_parameter_is_refused(api: Api, path: str) -> None:
    path = path.replace("{id}", "1").replace("{code}", "FRA")
    query = POINT if path.endswith("nearest") else {}
    assert "colour" in api.get(path, status=400, colour="red", **query)["detail"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", ""])
def test_a_limit_out_of_bounds_is_refused(api: Api, limit: str) -> None:
    assert api.get("/cities", status=400, limit=limit)["status"] == 400


@pytest.mark.parametrize(
    "query",
    [
        {"lat": 90.1},
        {"lat": -90.1},
        {"lon": 180.1},
        {"lon": -180.1},
        {"lat": "nan"},
        {"lon": "nan"},
        {"lat": "inf"},
        {"lat": "north"},
        {"radius_km": -1},
        {"radius_km": "nan"},
        {"radius_km": 20039},
        {"lat": None},
    ],
)
@pytest.mark.parametrize("path", ["/cities/nearest", "/airports/nearest"])
def test_a_point_or_radius_out_of_bounds_is_refused(api: Api, path: str, query: dict[str, Any]) -> None:
    assert api.get(path, status=400, **{**POINT, **query})["title"] == "Bad Request"


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/countries/ZZ", "No country has the code ZZ."),
        ("/countries/zzz", "No country has the code ZZZ."),
        ("/countries/ZZ/cities", "No country has the code ZZ."),
        ("/countries/ZZ/subdivisions", "No country has the code ZZ."),
        ("/countries/ZZ/airports", "No country has the code ZZ."),
        ("/cities/1", "No city has the id 1."),
        ("/cities/9007199254740991", "No city has the id 9007199254740991."),
        ("/airports/Q-Q", "No airport has the code Q-Q."),
    ],
)
def test_an_unknown_key_is_not_found(api: Api, path: str, detail: str) -> None:
    answer = api.answer(path)
    assert answer.status_code == 404
    assert answer.json()["detail"] == detail
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/countries/F", "/countries/12", "/airports/ab", "/airports/abcde"])
def test_a_key_that_cannot_be_one_is_refused(api: Api, path: str) -> None:
    assert api.get(path, status=400)["status"] == 400


def test_a_country_without_what_is_asked_for_has_an_empty_list(api: Api) -> None:
    assert api.get("/countries/VA/cities", min_population=1000000) == {"items": [], "next": None}


@pytest.mark.parametrize("q", ["", " ", "...", "\x00", "x" * 101])
@pytest.mark.parametrize("path", ["/cities", "/airports", "/countries"])
def test_a_query_without_anything_to_search_for_is_refused(api: Api, path: str, q: str) -> None:
    assert api.get(path, status=400, q=q)["status"] == 400


@pytest.mark.parametrize(
    "path", ["/countries/F%0AR", "/cities/2988507%0A", "/sites/%0A", "/countries/%0A/cities"]
)
def test_a_path_with_a_line_break_leads_nowhere(api: Api, path: str) -> None:
    assert requests.get(f"{api.url}{path}", timeout=30).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_nearest_is_no_site_that_could_be_written(api: Api, method: str) -> None:
    options = requests.options(f"{api.url}/sites/nearest", timeout=30)
    refused = requests.request(method, f"{api.url}/sites/nearest", json={"name": "x"}, timeout=30)
    assert (options.headers["Allow"], refused.headers["Allow"]) == ("GET, HEAD, OPTIONS",) * 2
    assert (refused.status_code, refused.json()["title"]) == (405, "Method Not Allowed")


@pytest.mark.parametrize("q", ["…", "\u202e", "。"])
@pytest.mark.parametrize("path", ["/cities", "/airports", "/countries"])
def test_a_query_of_foreign_punctuation_finds_nothing(api: Api, path: str, q: str) -> None:
    assert api.get(path, q=q) == {"items": [], "next": None}


@pytest.mark.parametrize(
    "q", ["%", "_", "a%", "'", "\\", "a'; DROP TABLE city; --", "\u202e", "🗼", "ا", "i\u0307"]
)
@pytest.mark.parametrize("path", ["/cities", "/airports", "/countries"])
def test_nothing_that_is_typed_is_a_server_error(api: Api, path: str, q: str) -> None:
    assert api.answer(path, q=q).status_code in (200, 400)


@pytest.mark.parametrize("path", LISTS)
def test_head_has_the_headers_and_no_body(api: Api, path: str) -> None:
    query = POINT if path.endswith("nearest") else {}
    head = requests.head(api.url + path, params=query, timeout=30)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == api.answer(path, **query).headers["ETag"]
