"""/cities: what a person means by what has been typed so far."""

import json
import random
from typing import Any

import pytest
from psycopg2.extensions import connection

from swagger_server.queries.cities import search_cities
from swagger_server.search_key import search_key
from tests.api.contract import Api

PARIS, LONDON = 2988507, 2643743
LARGEST = """
SELECT id, name, search_key, country_iso2, population FROM city ORDER BY population DESC LIMIT 300"""

City = tuple[int, str, str, str, int]


@pytest.fixture(scope="module")
def largest(conn: connection) -> list[City]:
    with conn.cursor() as cursor:
        cursor.execute(LARGEST)
        return cursor.fetchall()


def _first_five(conn: connection, typed: str, **filters: Any) -> list[dict[str, Any]]:
    return list(json.loads(search_cities(conn, search_key(typed), 5, None, **filters).items))


def test_four_letters_and_the_country_find_each_large_city(conn: connection, largest: list[City]) -> None:
    missed = [
        name
        for number, name, _, country, _ in largest
        if number not in [hit["id"] for hit in _first_five(conn, name[:4], country=country)]
    ]
    assert missed == []


def test_a_name_in_full_finds_the_largest_city_that_is_called_so(
    conn: connection, largest: list[City]
) -> None:
    for number, name, key, _, population in largest:
        best = _first_five(conn, name)[0]
        if best["id"] != number:
            assert search_key(best["name"]) == key
            assert best["population"] >= population


def test_a_dropped_letter_is_forgiven(conn: connection, largest: list[City]) -> None:
    letters = random.Random(20)
    found = 0
    for number, name, *_ in largest:
        dropped = letters.randrange(len(name))
        hits = _first_five(conn, name[:dropped] + name[dropped + 1 :])
        found += number in [hit["id"] for hit in hits]
    assert found / len(largest) >= 0.95


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("мос", "Moscow"),
        ("МОСКВА", "Moscow"),
        ("東京", "Tokyo"),
        ("munch", "Munich"),
        ("Mnchen", "Munich"),
        ("sao pau", "São Paulo"),
        ("NYC", "New York City"),
        ("new york", "New York City"),
        ("köln", "Köln"),
        ("koln", "Köln"),
        ("KÖLN", "Köln"),
        ("cologne", "Köln"),
        ("la", "Los Angeles"),
        ("saint-étienne", "Saint-Étienne"),
        ("saint etien", "Saint-Étienne"),
        ("lodz", "Łódź"),
        ("القاهرة", "Cairo"),
        ("서울", "Seoul"),
        ("서우", "Seoul"),
        ("αθηνα", "Athens"),
        ("istambul", "Istanbul"),
        ("san fracisco", "San Francisco"),
    ],
)
def test_the_city_that_a_person_means_is_among_the_first(api: Api, typed: str, name: str) -> None:
    assert name in [hit["name"] for hit in api.get("/cities", q=typed, limit=3)["items"]]


@pytest.mark.parametrize("typed", ["東京", "munch", "sao pau", "NYC", "köln", "мос", "lndon", "paris"])
def test_what_is_meant_comes_first(api: Api, typed: str) -> None:
    expected = {
        "東京": "Tokyo",
        "munch": "Munich",
        "sao pau": "São Paulo",
        "NYC": "New York City",
        "köln": "Köln",
        "мос": "Moscow",
        "lndon": "London",
        "paris": "Paris",
    }
    assert api.get("/cities", q=typed, limit=1)["items"][0]["name"] == expected[typed]


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("paris france", "Paris, Île-de-France, France"),
        ("Paris, Tex", "Paris, Texas, United States"),
        ("Paris, Île-de-France, France", "Paris, Île-de-France, France"),
        ("san jose ca", "San Jose, California, United States"),
        ("san jose cr", "San José, Costa Rica"),
        ("springfield illinois", "Springfield, Illinois, United States"),
        ("cologne ger", "Köln, Nordrhein-Westfalen, Germany"),
        ("rio de janeiro brazil", "Rio de Janeiro, Brazil"),
    ],
)
def test_a_city_may_be_typed_with_its_subdivision_or_country(api: Api, typed: str, label: str) -> None:
    assert api.get("/cities", q=typed, limit=1)["items"][0]["label"] == label


def test_a_hit_says_which_name_matched_and_carries_a_label(api: Api) -> None:
    (hit,) = api.get("/cities", q="parigi", limit=1)["items"]
    assert (hit["id"], hit["name"], hit["matched_name"]) == (PARIS, "Paris", "Parigi")
    assert hit["label"] == "Paris, Île-de-France, France"
    assert (hit["country"], hit["subdivision"], hit["timezone"]) == ("FR", "FR.11", "Europe/Paris")


def _rank(typed: str, matched: str) -> int:
    if matched == typed:
        return 0
    return 1 if matched.startswith(typed) else 2


@pytest.mark.parametrize("typed", ["lima", "york", "koln", "perth", "lndon", "москва"])
def test_exact_names_come_before_prefixes_and_those_before_near_misses(api: Api, typed: str) -> None:
    hits = api.get("/cities", q=typed, limit=100)["items"]
    ranks = [_rank(typed, search_key(hit["matched_name"])) for hit in hits]
    assert ranks == sorted(ranks)


def test_own_names_come_before_other_names_and_larger_cities_first(api: Api) -> None:
    hits = api.get("/cities", q="santa", limit=100)["items"]
    own = [hit for hit in hits if hit["matched_name"] == hit["name"]]
    assert hits[: len(own)] == own
    sizes = [hit["population"] for hit in own if search_key(hit["name"]) != "santa"]
    assert len(sizes) > 50
    assert sizes == sorted(sizes, reverse=True)


def test_a_city_is_found_once_however_many_of_its_names_match(api: Api) -> None:
    hits = [hit["id"] for page in api.pages("/cities", q="pari", limit=100) for hit in page]
    assert hits.count(PARIS) == 1
    assert len(set(hits)) == len(hits)


def test_filters_narrow_a_search(api: Api) -> None:
    hits = api.get("/cities", q="san", country="usa", subdivision="us.ca", min_population=500000)["items"]
    assert {hit["name"] for hit in hits} == {"San Diego", "San Jose", "San Francisco"}


def test_without_anything_typed_the_largest_cities_are_listed(api: Api) -> None:
    hits = api.get("/cities", limit=50)["items"]
    sizes = [hit["population"] for hit in hits]
    assert sizes == sorted(sizes, reverse=True)
    assert {hit["matched_name"] for hit in hits} == {None}


def test_a_city_tells_what_is_known_of_it(api: Api) -> None:
    city = api.get(f"/cities/{LONDON}")
    assert (city["name"], city["label"]) == ("London", "London, England, United Kingdom")
    assert city["country"] == {"iso2": "GB", "iso3": "GBR", "name": "United Kingdom"}
    assert city["subdivision"] == {"code": "GB.ENG", "name": "England"}
    assert city["capital_of"] == "GB"
    assert city["timezone"]["name"] == "Europe/London"
    assert {"Londres", "Лондон"} <= set(city["alternate_names"])
