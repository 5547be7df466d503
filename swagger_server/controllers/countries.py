"""/countries: the list, one country, and what lies in it."""

from flask import Response, g

from swagger_server import paging
from swagger_server.controllers.parameters import typed, upper
from swagger_server.encoder import json_response
from swagger_server.problems import NotFound
from swagger_server.queries.airports import list_airports
from swagger_server.queries.cities import list_cities
from swagger_server.queries.countries import (
    country_exists,
    find_country,
    list_subdivisions,
    search_countries,
)
from swagger_server.rows import NOTHING, Page


def search(
    limit: int,
    cursor: str | None = None,
    q: str | None = None,
    continent: str | None = None,
    currency: str | None = None,
    language: str | None = None,
) -> Response:
    """GET /countries"""
    key = None if q is None else typed(q)
    if q is not None and key is None:
        return paging.page_response(NOTHING)
    page = search_countries(
        g.db,
        limit,
        paging.after(cursor, int, str, str),
        q=key,
        continent=upper(continent),
        currency=upper(currency),
        language=None if language is None else language.lower(),
    )
    return paging.page_response(page)


def read(code: str) -> Response:
    """GET /countries/{code}"""
    country = find_country(g.db, code.upper())
    if country is None:
        raise _unknown(code)
    return json_response(country)


def subdivisions(code: str, limit: int, cursor: str | None = None) -> Response:
    """GET /countries/{code}/subdivisions"""
    after = paging.after(cursor, str, str)
    return _answer(code, list_subdivisions(g.db, code.upper(), limit, after))


def cities(code: str, limit: int, cursor: str | None = None, min_population: int | None = None) -> Response:
    """GET /countries/{code}/cities"""
    after = paging.after(cursor, int, int)
    return _answer(code, list_cities(g.db, limit, after, country=code.upper(), min_population=min_population))


def airports(code: str, limit: int, cursor: str | None = None, has_iata: bool | None = None) -> Response:
    """GET /countries/{code}/airports"""
    after = paging.after(cursor, str, str)
    return _answer(code, list_airports(g.db, limit, after, country=code.upper(), has_iata=has_iata))


def _answer(code: str, page: Page) -> Response:
    if page.is_empty and not country_exists(g.db, code.upper()):
        raise _unknown(code)
    return paging.page_response(page)


def _unknown(code: str) -> NotFound:
    return NotFound(f"No country has the code {code.upper()}.")
