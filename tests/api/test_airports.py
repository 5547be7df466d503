"""/airports: by code, by name, by city."""

import pytest

from tests.api.contract import Api


@pytest.mark.parametrize("code", ["CDG", "cdg", "LFPG", "lfpg"])
def test_an_airport_has_two_codes(api: Api, code: str) -> None:
    airport = api.get(f"/airports/{code}")
    assert (airport["iata"], airport["icao"]) == ("CDG", "LFPG")
    assert airport["name"] == "Charles de Gaulle International Airport"
    assert airport["country"] == {"iso2": "FR", "iso3": "FRA", "name": "France"}
    assert airport["served_city"]["label"] == "Paris, Île-de-France, France"
    assert airport["timezone"]["name"] == "Europe/Paris"


@pytest.mark.parametrize(
    ("typed", "iata"),
    [
        ("LHR", "LHR"),
        ("egll", "LHR"),
        ("lh", "LHR"),
        ("heathrow", "LHR"),
        ("heatrow", "LHR"),
        ("london", "LHR"),
        ("zurich", "ZRH"),
        ("Zürich", "ZRH"),
        ("münchen", "MUC"),
        ("wien", "VIE"),
        ("東京", "HND"),
        ("charles de g", "CDG"),
        ("kennedy", "JFK"),
        ("frankfurt", "FRA"),
    ],
)
def test_the_airport_that_a_person_means_is_among_the_first(api: Api, typed: str, iata: str) -> None:
    assert iata in [hit["iata"] for hit in api.get("/airports", q=typed, limit=10)["items"]]


@pytest.mark.parametrize("code", ["LHR", "JFK", "AIR", "PAR", "HAM", "EDDF", "KJFK"])
def test_a_code_in_full_comes_first(api: Api, code: str) -> None:
    first, *_ = api.get("/airports", q=code.lower())["items"]
    served = api.get("/airports", q=code)["items"][0]
    assert first == served
    if code != "PAR":
        assert code in (first["iata"], first["icao"])


def test_airports_that_passengers_know_come_before_airfields(api: Api) -> None:
    hits = api.get("/airports", q="heathrow")["items"]
    assert hits[0]["iata"] == "LHR"
    assert "Heathrow Airport" in [hit["name"] for hit in hits if hit["iata"] is None]


def test_filters_narrow_the_list_and_the_search(api: Api) -> None:
    hits = api.get("/airports", q="paris", country="fra", has_iata="false", limit=100)["items"]
    assert hits
    assert {(hit["country"], hit["iata"]) for hit in hits} == {("FR", None)}
    listed = api.get("/airports", country="LI", limit=100)["items"]
    assert {hit["country"] for hit in listed} <= {"LI"}


def test_the_list_is_alphabetical(api: Api) -> None:
    names = [hit["name"] for hit in api.get("/countries/LU/airports", limit=100)["items"]]
    assert len(names) > 1
    assert names == sorted(names, key=str.casefold)
