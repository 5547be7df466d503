"""Sites over HTTP: what is written is what is read, filled from its city, found by name, tag and distance."""

import json
from typing import Any

import pytest
import requests
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from tests.api.contract import Contract
from tests.sites.support import BERLIN, PARIS, Caller
from tests.support.servers import Database

WHOLE = {
    "external_id": "shop-17",
    "name": "Épicerie d'Or",
    "tags": ["shop", "late"],
    "address_lines": ["12 Rue des Rosiers", "75004 Paris"],
    "city_id": PARIS,
    "city": "Paris 4e",
    "country": "FR",
    "lat": 48.8572,
    "lon": 2.3592,
    "opening_hours": "Mo-Sa 10:00-19:00",
    "phone": "+33 1 23 45 67 89",
    "url": "https://shop.example/or?a=1",
    "attributes": {"floors": 2, "nested": {"a": [1, None, "x"], "b": True}},
}
EMPTY = {
    **dict.fromkeys(
        ["external_id", "city_id", "city", "country", "lat", "lon", "opening_hours", "phone", "url"]
    ),
    "tags": [],
    "address_lines": [],
    "attributes": {},
}
TIMES = ("created_at", "updated_at")


def told(site: dict[str, Any]) -> dict[str, Any]:
    """A site without what the service adds."""
    return {name: value for name, value in site.items() if name not in ("id", *TIMES)}


def test_what_is_written_is_what_is_read(ada: Caller, empty: Database) -> None:
    answer = ada.ask("POST", "/sites", WHOLE)
    assert (answer.status_code, told(answer.json())) == (201, WHOLE)
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Location"] == f"/v1/sites/{answer.json()['id']}"
    again = ada.ask("GET", f"/sites/{answer.json()['id']}")
    assert (again.json(), again.headers["ETag"]) == (answer.json(), '"1"')
    assert again.headers["Cache-Control"] == "private, no-cache"
    fits = OAS30Validator(
        {"$ref": "#/components/schemas/Site", "components": Contract().spec["components"]},
        format_checker=oas30_format_checker,
    )
    assert list(fits.iter_errors(again.json())) == []


def test_a_site_needs_no_more_than_a_name(ada: Caller, empty: Database) -> None:
    assert told(ada.add(name="Bare")) == {**EMPTY, "name": "Bare"}


def test_country_and_point_come_from_the_city(ada: Caller, empty: Database) -> None:
    filled = ada.add(city_id=PARIS)
    assert (filled["country"], filled["lat"], filled["lon"]) == ("FR", 48.85341, 2.3488)
    own = ada.add(city_id=PARIS, country="de", lat=1.5, lon=-2)
    assert (own["country"], own["lat"], own["lon"]) == ("DE", 1.5, -2)
    moved = ada.patch(filled["id"], {"city_id": BERLIN})
    assert (moved["country"], moved["lat"], moved["lon"]) == ("DE", 52.52437, 13.41053)
    stays = ada.patch(own["id"], {"city_id": BERLIN, "lat": 3})
    assert (stays["country"], stays["lat"], stays["lon"]) == ("DE", 3, -2)
    back = ada.patch(own["id"], {"city_id": PARIS, "lat": None, "lon": None, "country": None})
    assert (back["country"], back["lat"], back["lon"]) == ("FR", 48.85341, 2.3488)
    nowhere = ada.patch(own["id"], {"city_id": None})
    assert (nowhere["country"], nowhere["lat"], nowhere["lon"]) == (None, None, None)


def test_a_city_that_there_is_not_is_a_conflict(ada: Caller, empty: Database) -> None:
    assert ada.add(city_id=1, status=409)["detail"] == "No city has the id 1."
    site = ada.add(city_id=PARIS)
    assert ada.put(site["id"], {"name": "X", "city_id": 1}, status=409)["detail"] == "No city has the id 1."
    assert ada.patch(site["id"], {"city_id": 1}, status=409)["detail"] == "No city has the id 1."
    assert ada.get(f"/sites/{site['id']}") == site


def test_a_site_outlives_its_city(ada: Caller, empty: Database) -> None:
    empty.execute(
        "INSERT INTO city (id, name, search_key, country_iso2, population, lat, lon, timezone_name, label)"
        " VALUES (77, 'Ys', 'ys', 'FR', 1, 48.1, -4.3, 'Europe/Paris', 'Ys')"
    )
    site = ada.add(city_id=77)
    empty.execute("DELETE FROM city WHERE id = 77")
    place = {"city_id": 77, "country": "FR", "lat": 48.1, "lon": -4.3}
    for changed in (
        ada.patch(site["id"], {"name": "Sunken"}),
        ada.put(site["id"], {"name": "Gone", "city_id": 77}),
    ):
        assert {name: changed[name] for name in place} == place
    assert ada.put(site["id"], {"name": "Ashore", "city_id": PARIS})["lat"] == 48.85341


def test_replacing_removes_what_is_left_out(ada: Caller, empty: Database) -> None:
    site = ada.ask("POST", "/sites", WHOLE).json()
    answer = ada.ask("PUT", f"/sites/{site['id']}", {"name": "Bare"})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert told(answer.json()) == {**EMPTY, "name": "Bare"}
    assert answer.json()["created_at"] == site["created_at"] < answer.json()["updated_at"]
    assert ada.get(f"/sites/{site['id']}") == answer.json()


def test_half_a_position_is_refused_by_saying_that_the_other_half_is_needed(
    ada: Caller, empty: Database
) -> None:
    needed = "must not have only one of lat and lon: both are needed, or neither"
    assert ada.add(400, lat=1)["detail"].endswith(needed)
    site = ada.add()["id"]
    assert ada.patch(site, {"lon": 1}, 409)["detail"].endswith(needed)


@pytest.mark.parametrize("kind", ["application/merge-patch+json", "application/json"])
def test_a_merge_patch_changes_what_it_names(ada: Caller, empty: Database, kind: str) -> None:
    site = ada.ask("POST", "/sites", WHOLE).json()
    change = {
        "name": "New",
        "phone": None,
        "tags": ["late"],
        "address_lines": None,
        "attributes": {"floors": None, "nested": {"a": "one", "b": None}, "more": {"c": None, "d": 1}},
    }
    answer = ada.ask("PATCH", f"/sites/{site['id']}", change, {"Content-Type": kind})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert told(answer.json()) == {
        **WHOLE,
        "name": "New",
        "phone": None,
        "tags": ["late"],
        "address_lines": [],
        "attributes": {"nested": {"a": "one"}, "more": {"d": 1}},
    }
    assert ada.patch(site["id"], {"attributes": None})["attributes"] == {}


def test_what_a_merge_patch_makes_has_to_be_a_site(ada: Caller, empty: Database) -> None:
    site = ada.add()
    assert "would not be valid" in ada.patch(site["id"], {"lat": 5}, status=409)["detail"]
    assert ada.patch(site["id"], {"name": None}, status=400)["detail"].startswith("name is null")
    assert ada.patch(site["id"], {"owner": "bob"}, status=400)["detail"] == "owner is not allowed"
    assert ada.patch(site["id"], [], status=400)
    big = {f"k{n}": "x" * 900 for n in range(10)}
    ada.patch(site["id"], {"attributes": big})
    more = {f"l{n}": "x" * 900 for n in range(10)}
    assert "larger than 16384" in ada.patch(site["id"], {"attributes": more}, status=400)["detail"]
    assert ada.get(f"/sites/{site['id']}")["attributes"] == big


def test_an_external_id_is_one_sites_alone(ada: Caller, empty: Database) -> None:
    first, second = ada.add(external_id="a"), ada.add(external_id="b")
    for refused in (
        ada.add(external_id="a", status=409),
        ada.put(second["id"], {"name": "X", "external_id": "a"}, status=409),
        ada.patch(second["id"], {"external_id": "a"}, status=409),
    ):
        assert (refused["id"], refused["detail"]) == (first["id"], "Another site has this external_id.")
    assert ada.get(f"/sites/{second['id']}") == second
    assert ada.put(first["id"], {"name": "X", "external_id": "a"})["external_id"] == "a"
    ada.add(external_id=None, status=400)
    assert [ada.add()["external_id"] for _ in range(2)] == [None, None]


def test_a_removed_site_is_gone(ada: Caller, empty: Database) -> None:
    site = ada.add()["id"]
    answer = ada.ask("DELETE", f"/sites/{site}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert ada.ask("DELETE", f"/sites/{site}").status_code == 404
    ada.get(f"/sites/{site}", status=404)
    ada.put(site, {"name": "X"}, status=404)
    ada.patch(site, {"name": "X"}, status=404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "a\0b"},
        {"name": None},
        {"name": "\ud800"},
        {"colour": "red"},
        {"id": "5f0c1a52-0b1e-4d7c-8a4e-2f9a2c1f7b10"},
        {"external_id": "x" * 201},
        {"tags": ["x"] * 2},
        {"tags": [str(n) for n in range(51)]},
        {"name": "a\n"},
        {"external_id": "a\n"},
        {"tags": ["a\n"]},
        {"tags": [""]},
        {"tags": "shop"},
        {"address_lines": ["x"] * 11},
        {"address_lines": ["x" * 201]},
        {"city_id": 0},
        {"city_id": 2**31},
        {"city_id": True},
        {"country": "FRA"},
        {"lat": 90.5, "lon": 0},
        {"lat": 1},
        {"lon": 1},
        {"url": "javascript:alert(1)"},
        {"url": "https://x.example/ y"},
        {"attributes": []},
        {"attributes": {"x": "y" * 16_384}},
        {"attributes": {"x": "a\0b"}},
        {"attributes": {"x": "\ud800"}},
        {"attributes": {str(n): n for n in range(101)}},
    ],
)
def test_what_is_no_site_is_refused_and_nothing_written(
    ada: Caller, empty: Database, wrong: dict[str, Any]
) -> None:
    site = ada.add()
    keyed = {"Idempotency-Key": "wrong"}
    for body in ({"name": "Shop", **wrong},):
        assert ada.ask("POST", "/sites", body).status_code == 400
        assert ada.ask("POST", "/sites", body, keyed).status_code == 400
        assert ada.ask("PUT", f"/sites/{site['id']}", body).status_code == 400
    assert empty.execute("SELECT count(*), max(version) FROM site") == [(1, 1)]


@pytest.mark.parametrize(
    "raw", [b'{"name":"x","attributes":{"n":1e999}}', b'{"name":"x","lat":NaN,"lon":1}', b"[]", b"{"]
)
def test_what_is_no_json_is_refused(ada: Caller, empty: Database, raw: bytes) -> None:
    headers = {"X-API-Key": ada.key, "Content-Type": "application/json"}
    answer = requests.post(f"{ada.url}/sites", data=raw, headers=headers, timeout=20)
    assert answer.status_code == 400, answer.text
    assert empty.execute("SELECT count(*) FROM site") == [(0,)]


@pytest.mark.parametrize(("method", "there"), [("POST", False), ("PUT", True), ("PATCH", True)])
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_what_does_not_say_that_it_is_json_is_refused(
    ada: Caller, empty: Database, method: str, there: bool, kind: str | None
) -> None:
    path = f"/sites/{ada.add()['id']}" if there else "/sites"
    headers = {"X-API-Key": ada.key, **({"Content-Type": kind} if kind else {})}
    answer = requests.request(method, ada.url + path, data=b'{"name": "x"}', headers=headers, timeout=20)
    assert answer.status_code == 415, answer.text
    assert empty.execute("SELECT count(*), max(name) FROM site") == ([(1, "Shop")] if there else [(0, None)])


def test_attributes_fill_their_limit(ada: Caller, empty: Database) -> None:
    room = 16_384 - len(json.dumps({"x": ""}, separators=(",", ":")))
    assert ada.add(attributes={"x": "y" * room})["attributes"] == {"x": "y" * room}
    many = {"x": list(range(4000))[: (room - 100) // 5]}
    assert ada.add(attributes=many)["attributes"] == many


def test_the_database_holds_to_the_bounds_by_itself(ada: Caller, empty: Database) -> None:
    site = ada.add()["id"]
    for broken in (
        "name = repeat('x', 201)",
        "tags = array_fill('x'::text, ARRAY[51])",
        "tags = ARRAY[repeat('x', 61)]",
        "address_lines = ARRAY[NULL]::text[]",
        "url = repeat('x', 2001)",
        "lat = 5",
        "lat = 'NaN', lon = 1",
        "attributes = jsonb_build_object('x', repeat('x', 32768))",
        "attributes = '[]'",
        "country_iso2 = 'fr'",
    ):
        with pytest.raises(Exception, match="violates check constraint"):
            empty.execute(f"UPDATE site SET {broken} WHERE id = %s", (site,))


def test_a_list_is_by_name_and_paged_by_key(ada: Caller, empty: Database) -> None:
    for name in ("Zebra", "ähnlich", "Beta", "beta", "Alpha"):
        ada.add(name=name)
    names = ["ähnlich", "Alpha"]
    pages = [[site["name"] for site in page] for page in ada.pages("/sites", limit=2)]
    assert [len(page) for page in pages] == [2, 2, 1]
    flat = [name for page in pages for name in page]
    assert sorted(flat[:2]) == sorted(names)
    assert sorted(flat[2:4]) == ["Beta", "beta"]
    assert flat[4] == "Zebra"
    assert ada.get("/sites", limit=2, cursor="WyJ4Il0", status=400)


def test_the_filters_narrow_a_list(ada: Caller, empty: Database) -> None:
    ada.add(name="Grand Marché", city_id=PARIS, tags=["shop"], external_id="1")
    ada.add(name="Marketplace", city_id=BERLIN, tags=["shop", "late"])
    ada.add(name="Depot", tags=["late"])
    assert ada.names() == ["Depot", "Grand Marché", "Marketplace"]
    assert ada.names(q="MAR") == ["Grand Marché", "Marketplace"]
    assert ada.names(q="mark") == ["Marketplace"]
    assert ada.names(q="ché") == []
    assert ada.names(country="fra") == ada.names(country="FR") == ["Grand Marché"]
    assert ada.names(tag="late") == ["Depot", "Marketplace"]
    assert ada.names(tag="shop", q="mar", country="de") == ["Marketplace"]
    assert ada.names(external_id="1") == ["Grand Marché"]
    assert ada.names(near="48.85341,2.3488", radius_km=1) == ["Grand Marché"]
    assert ada.names(near="50.7,8", radius_km=600) == ["Grand Marché", "Marketplace"]
    assert ada.names(near="0,0") == []
    for wrong in (
        {"near": "91,0"},
        {"near": "1"},
        {"tag": ""},
        {"radius_km": "nan"},
        {"owner": "bob"},
    ):
        assert ada.get("/sites", status=400, **wrong)["status"] == 400


def test_the_nearest_come_first(ada: Caller, empty: Database) -> None:
    ada.add(name="Nowhere")
    ada.add(name="Berlin", city_id=BERLIN, tags=["far"])
    ada.add(name="Paris", city_id=PARIS)
    ada.add(name="Date line", lat=0, lon=-179.5)
    point = {"lat": 48.85341, "lon": 2.3488}
    found = [site for page in ada.pages("/sites/nearest", limit=1, **point) for site in page]
    assert [site["name"] for site in found] == ["Paris", "Berlin", "Date line"]
    assert found[0]["distance_km"] == 0
    assert found[1]["distance_km"] == pytest.approx(878, abs=2)
    within = ada.get("/sites/nearest", radius_km=900, limit=1, **point)
    assert [site["name"] for site in within["items"]] == ["Paris"]
    assert [site["name"] for site in ada.get(within["next"])["items"]] == ["Berlin"]
    assert ada.get(within["next"])["next"] is None
    (seam,) = ada.get("/sites/nearest", lat=0, lon=179.5, radius_km=200)["items"]
    assert seam["distance_km"] == pytest.approx(111.195, abs=0.01)
    assert [s["name"] for s in ada.get("/sites/nearest", tag="far", **point)["items"]] == ["Berlin"]
    assert [s["name"] for s in ada.get("/sites/nearest", country="de", **point)["items"]] == ["Berlin"]


def test_what_has_not_changed_is_not_sent_again(ada: Caller, empty: Database) -> None:
    site = ada.add()["id"]
    assert ada.ask("GET", f"/sites/{site}", headers={"If-None-Match": '"1"'}).status_code == 304
    ada.patch(site, {"name": "New"})
    assert ada.ask("GET", f"/sites/{site}", headers={"If-None-Match": '"1"'}).status_code == 200


@pytest.mark.parametrize(
    "site", ["nearest1", "x", "5f0c1a52-0b1e-4d7c-8a4e", "5f0c1a520b1e4d7c8a4e2f9a2c1f7b10"]
)
def test_an_id_that_cannot_be_one_is_refused(ada: Caller, site: str) -> None:
    ada.get(f"/sites/{site}", status=400)
