"""/cities: found as somebody types, nearest to a point, and one in full."""

from flask import Response, g

from swagger_server import paging
from swagger_server.controllers.parameters import require_numbers, typed, upper
from swagger_server.encoder import json_response
from swagger_server.problems import NotFound
from swagger_server.queries.cities import find_city, list_cities, nearest_cities, search_cities
from swagger_server.rows import NOTHING


def search(
    limit: int,
    cursor: str | None = None,
    q: str | None = None,
    country: str | None = None,
    subdivision: str | None = None,
    min_population: int | None = None,
) -> Response:
    """GET /cities"""
    filters = (upper(country), upper(subdivision), min_population)
    if q is None:
        page = list_cities(g.db, limit, paging.after(cursor, int, int), *filters, hits=True)
    elif (key := typed(q)) is None:
        page = NOTHING
    else:
        page = search_cities(g.db, key, limit, paging.after(cursor, int, int, int, bool), *filters)
    return paging.page_response(page)


def nearest(
    lat: float,
    lon: float,
    limit: int,
    cursor: str | None = None,
    radius_km: float | None = None,
    min_population: int | None = None,
) -> Response:
    """GET /cities/nearest"""
    require_numbers(lat=lat, lon=lon, radius_km=radius_km)
    after = paging.after(cursor, float, int)
    return paging.page_response(nearest_cities(g.db, lat, lon, limit, after, radius_km, min_population))


def read(id_: int) -> Response:
    """GET /cities/{id}"""
    city = find_city(g.db, id_)
    if city is None:
        raise NotFound(f"No city has the id {id_}.")
    return json_response(city)
