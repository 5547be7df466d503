"""Nearest: the same as working out the distance to every place."""

import heapq
import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from psycopg2.extensions import connection

from swagger_server.queries.airports import nearest_airports
from swagger_server.queries.cities import nearest_cities
from tests.api.contract import Api

EARTH_RADIUS_KM = 6371.0088
POINTS = 500
SPECIAL = [(90, 0), (-90, 0), (0, 180), (0, -180), (-17, 179.99), (-17, -179.99), (89.9, -135), (52, 0)]

Place = tuple[Any, float, float]
Vector = tuple[float, float, float]
Nearest = Callable[[connection, float, float, int, None], Any]


def haversine_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The distance over the ground between two points (lat, lon in degrees)."""
    (lat1, lon1), (lat2, lon2) = [tuple(map(math.radians, point)) for point in (a, b)]
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(min(1, math.sqrt(half)))


def _vector(lat: float, lon: float) -> Vector:
    phi, theta = math.radians(lat), math.radians(lon)
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)


def _points() -> list[tuple[float, float]]:
    chance = random.Random(7)
    anywhere = [
        (math.degrees(math.asin(chance.uniform(-1, 1))), chance.uniform(-180, 180))
        for _ in range(POINTS - len(SPECIAL))
    ]
    return SPECIAL + anywhere


@pytest.mark.parametrize(
    ("table", "key", "nearest"), [("city", "id", nearest_cities), ("airport", "icao", nearest_airports)]
)
def test_the_ten_nearest_are_those_of_brute_force(
    conn: connection, table: str, key: str, nearest: Nearest
) -> None:
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT {key}, lat, lon FROM {table}")
        places: list[Place] = cursor.fetchall()
    where = {number: (lat, lon) for number, lat, lon in places}
    vectors = [_vector(lat, lon) for _, lat, lon in places]
    for point in _points():
        x, y, z = _vector(*point)
        cosines = [a * x + b * y + c * z for a, b, c in vectors]
        closest = heapq.nlargest(10, range(len(places)), cosines.__getitem__)
        expected = [haversine_km(point, places[index][1:]) for index in closest]
        items = json.loads(nearest(conn, *point, 10, None).items)
        assert [item["distance_km"] for item in items] == pytest.approx(expected, abs=0.001)
        assert [haversine_km(point, where[item[key]]) for item in items] == pytest.approx(expected, abs=0.001)
        assert len({item[key] for item in items}) == 10


@pytest.mark.parametrize("path", ["/cities/nearest", "/airports/nearest"])
def test_either_way_of_writing_the_date_line_is_one_place(api: Api, path: str) -> None:
    east, west = (api.get(path, lat=-17, lon=lon)["items"] for lon in (180, -180))
    assert east == west


@pytest.mark.parametrize("path", ["/cities/nearest", "/airports/nearest"])
def test_the_pole_is_one_place_at_any_longitude(api: Api, path: str) -> None:
    first, second = (api.get(path, lat=90, lon=lon, limit=5)["items"] for lon in (0, 123))
    assert first == second


def test_neighbours_across_the_date_line_are_near(api: Api) -> None:
    items = api.get("/airports/nearest", lat=-16.7, lon=179.99, radius_km=80)["items"]
    assert {item["lon"] < 0 for item in items} == {True, False}


def test_a_radius_bounds_the_list_and_its_absence_does_not(api: Api) -> None:
    near = api.get("/cities/nearest", lat=48.8566, lon=2.3522, radius_km=5, limit=100)
    assert near["next"] is None
    assert max(item["distance_km"] for item in near["items"]) <= 5
    far = api.get("/cities/nearest", lat=-50, lon=-140, limit=1)["items"]
    assert far[0]["distance_km"] > 2500


def test_a_radius_of_nothing_finds_what_is_exactly_there(api: Api) -> None:
    paris = api.get("/cities/2988507")
    items = api.get("/cities/nearest", lat=paris["lat"], lon=paris["lon"], radius_km=0)["items"]
    assert [(item["name"], item["distance_km"]) for item in items] == [("Paris", 0)]


def test_the_whole_world_is_within_half_its_girth(api: Api) -> None:
    page = api.get("/cities/nearest", lat=0, lon=0, radius_km=20038, min_population=10000000, limit=100)
    everywhere = api.get("/cities", min_population=10000000, limit=100)
    assert {item["id"] for item in page["items"]} == {item["id"] for item in everywhere["items"]}


def test_only_large_cities_or_airports_with_a_code_when_asked_for(api: Api) -> None:
    point = {"lat": 47.4, "lon": 8.5, "limit": 10}
    assert all(
        c["population"] >= 300000 for c in api.get("/cities/nearest", min_population=300000, **point)["items"]
    )
    assert all(a["iata"] for a in api.get("/airports/nearest", has_iata="true", **point)["items"])
    assert not any(a["iata"] for a in api.get("/airports/nearest", has_iata="false", **point)["items"])


@pytest.mark.parametrize("tiny", ["5e-324", "-5e-324", "1e-310", "1e-163"])
@pytest.mark.parametrize("path", ["/cities/nearest", "/airports/nearest"])
def test_a_number_that_is_all_but_zero_is_zero(api: Api, path: str, tiny: str) -> None:
    zero = api.get(path, lat=0, lon=0, limit=3)["items"]
    assert api.get(path, lat=tiny, lon=tiny, limit=3)["items"] == zero
    assert api.get(path, lat=0, lon=0, radius_km=tiny.lstrip("-"))["items"] == []
