"""/airports: found by code, name or city, nearest to a point, and one in full."""

from flask import Response, g

from swagger_server import paging
from swagger_server.controllers.parameters import require_numbers, typed, upper
from swagger_server.encoder import json_response
from swagger_server.problems import NotFound
from swagger_server.queries.airports import find_airport, list_airports, nearest_airports, search_airports
from swagger_server.rows import NOTHING


def search(
    limit: int,
    cursor: str | None = None,
    q: str | None = None,
    country: str | None = None,
    has_iata: bool | None = None,
) -> Response:
    """GET /airports"""
    filters = (upper(country), has_iata)
    if q is None:
        page = list_airports(g.db, limit, paging.after(cursor, str, str), *filters)
    elif (key := typed(q)) is None:
        page = NOTHING
    else:
        after = paging.after(cursor, int, int, int, str, bool)
        page = search_airports(g.db, key, limit, after, *filters)
    return paging.page_response(page)


def nearest(
    lat: float,
    lon: float,
    limit: int,
    cursor: str | None = None,
    radius_km: float | None = None,
    has_iata: bool | None = None,
) -> Response:
    """GET /airports/nearest"""
    require_numbers(lat=lat, lon=lon, radius_km=radius_km)
    after = paging.after(cursor, float, str)
    return paging.page_response(nearest_airports(g.db, lat, lon, limit, after, radius_km, has_iata))


def read(code: str) -> Response:
    """GET /airports/{code}"""
    airport = find_airport(g.db, code.upper())
    if airport is None:
        raise NotFound(f"No airport has the code {code.upper()}.")
    return json_response(airport)
