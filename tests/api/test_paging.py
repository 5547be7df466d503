"""Pages: every item once and in order, links that work, cursors that belong to their list."""

import base64
import json
from typing import Any

import pytest
import requests

from swagger_server import under_way
from swagger_server.paging import page_response
from swagger_server.rows import Page
from swagger_server.serving import Request
from tests.api.contract import Api
from tests.support.servers import Database

WALKS: list[tuple[str, dict[str, Any], str, str]] = [
    ("/countries", {}, "iso2", "SELECT count(*) FROM country"),
    (
        "/countries",
        {"q": "a"},
        "iso2",
        "SELECT count(*) FROM country WHERE search_key ~ '(^| )a' OR 'A' IN (iso2, iso3)",
    ),
    ("/countries/US/subdivisions", {}, "code", "SELECT count(*) FROM subdivision WHERE country_iso2 = 'US'"),
    ("/countries/CH/cities", {}, "id", "SELECT count(*) FROM city WHERE country_iso2 = 'CH'"),
    ("/countries/CH/airports", {}, "icao", "SELECT count(*) FROM airport WHERE country_iso2 = 'CH'"),
    ("/cities", {"min_population": 1000000}, "id", "SELECT count(*) FROM city WHERE population >= 1000000"),
    (
        "/cities",
        {"q": "san", "country": "PH"},
        "id",
        "SELECT count(DISTINCT id) FROM city JOIN city_name n ON city_id = id"
        " WHERE n.search_key ^@ 'san' AND country_iso2 = 'PH'",
    ),
    (
        "/cities/nearest",
        {"lat": -17, "lon": 179.9, "radius_km": 1500},
        "id",
        "SELECT count(*) FROM city WHERE great_circle_km(position <-> unit_vector(-17, 179.9)) <= 1500",
    ),
    (
        "/airports/nearest",
        {"lat": 89, "lon": 0, "radius_km": 1500},
        "icao",
        "SELECT count(*) FROM airport WHERE great_circle_km(position <-> unit_vector(89, 0)) <= 1500",
    ),
    (
        "/airports",
        {"country": "IS", "has_iata": "true"},
        "icao",
        "SELECT count(*) FROM airport WHERE country_iso2 = 'IS' AND iata IS NOT NULL",
    ),
    ("/timezones", {}, "name", "SELECT count(*) FROM timezone"),
    ("/currencies", {}, "code", "SELECT count(*) FROM currency"),
    ("/languages", {}, "code", "SELECT count(*) FROM language"),
    ("/continents", {}, "code", "SELECT count(*) FROM continent"),
]


@pytest.mark.parametrize(("path", "query", "key", "count"), WALKS)
def test_a_walk_shows_every_item_once_in_one_order(
    api: Api, places: Database, path: str, query: dict[str, Any], key: str, count: str
) -> None:
    ((expected,),) = places.execute(count)
    small = [
        item for page in api.pages(path, limit=min(100, max(1, expected // 5)), **query) for item in page
    ]
    large = [item for page in api.pages(path, limit=100, **query) for item in page]
    assert small == large
    assert len({item[key] for item in small}) == len(small) == expected


@pytest.mark.parametrize(
    ("path", "q"),
    [
        ("/cities", "lndon"),
        ("/cities", "paris"),
        ("/cities", "kirov"),
        ("/cities", "мос"),
        ("/cities", "santa cruz b"),
        ("/airports", "heathrw"),
        ("/airports", "lon"),
    ],
)
def test_the_pages_of_a_search_are_the_list_cut_up(api: Api, path: str, q: str) -> None:
    whole = [item for page in api.pages(path, q=q, limit=100) for item in page]
    pages = list(api.pages(path, q=q, limit=2))
    assert len(whole) > 2
    assert [item for page in pages for item in page] == whole
    assert all(len(page) == 2 for page in pages[:-1])


def test_the_link_keeps_the_query_and_is_in_a_header_too(api: Api) -> None:
    answer = api.answer("/cities", q="são", country="BR", limit=1)
    link = answer.json()["next"]
    assert link.startswith(f"{api.url}/cities?q=s%C3%A3o&country=BR&limit=1&cursor=")
    assert answer.headers["Link"] == f'<{link}>; rel="next"'


def test_the_link_keeps_host_and_prefix_of_a_proxy(api: Api) -> None:
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "places.example",
        "X-Forwarded-Prefix": "/geo",
    }
    answer = api.answer("/cities", headers=forwarded, limit=1)
    link = answer.json()["next"]
    assert link.startswith("https://places.example/geo/v1/cities?limit=1&cursor=")
    assert answer.headers["Link"] == f'<{link}>; rel="next"'


def test_the_link_of_a_request_that_connexion_itself_answers(api: Api) -> None:
    # With a body that the spec does not know.
    answer = requests.get(f"{api.url}/cities?limit=1", data="{}", timeout=20)
    assert answer.json()["next"].startswith(f"{api.url}/cities?limit=1&cursor=")


def test_the_last_page_has_no_link(api: Api) -> None:
    answer = api.answer("/continents", limit=100)
    assert answer.json()["next"] is None
    assert "Link" not in answer.headers


def _cursor(api: Api, path: str, **query: Any) -> str:
    link: str = api.get(path, limit=1, **query)["next"]
    return link.rpartition("cursor=")[2]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/currencies", {}),
        ("/countries/DE/cities", {}),
        ("/cities", {"q": "paris"}),
        ("/cities", {"country": "DE"}),
        ("/cities", {"min_population": 1}),
    ],
)
def test_a_cursor_of_another_list_or_other_filters_is_refused(
    api: Api, path: str, query: dict[str, Any]
) -> None:
    foreign = _cursor(api, "/cities", country="FR")
    assert "cursor" in api.get(path, status=400, cursor=foreign, **query)["detail"]


@pytest.mark.parametrize(
    "cursor", ["x", "AAAA", "bnVsbA", "W10", "MQ", "WyJhIl0", "e30", "_-_-", "", "ü", "Zm9v=="]
)
def test_a_cursor_that_is_none_of_ours_is_refused(api: Api, cursor: str) -> None:
    assert api.get("/currencies", status=400, cursor=cursor)["status"] == 400


@pytest.mark.parametrize("text", ["a\0b", "\ud83d", "b\udc80"])
def test_a_cursor_with_what_is_no_text_is_refused(api: Api, text: str) -> None:
    mark, *key = json.loads(base64.urlsafe_b64decode(f"{_cursor(api, '/currencies')}=="))
    forged = base64.urlsafe_b64encode(json.dumps([mark, text, *key[1:]]).encode()).decode().rstrip("=")
    assert "cursor" in api.get("/currencies", status=400, cursor=forged)["detail"]


def test_a_cursor_may_be_used_with_another_limit(api: Api) -> None:
    cursor = _cursor(api, "/currencies")
    assert len(api.get("/currencies", cursor=cursor, limit=7)["items"]) == 7


@pytest.mark.parametrize("server", [("127.0.0.1", 8080), ["127.0.0.1", 8080]])
def test_a_link_is_made_of_the_servers_address_however_that_is_given(server: Any):
    scope = {"method": "GET", "scheme": "http", "headers": [], "server": server, "path": "/v1/cities"}
    token = under_way.current.set(Request({**scope, "query_string": b"limit=1"}))
    try:
        link = page_response(Page("[]", (7,))).headers["Link"]
    finally:
        under_way.current.reset(token)
    assert link.startswith("<http://127.0.0.1:8080/v1/cities?limit=1&cursor=")
