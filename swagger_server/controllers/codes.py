"""/timezones, /currencies, /languages and /continents."""

from flask import Response, g

from swagger_server import paging
from swagger_server.controllers.parameters import upper
from swagger_server.queries.codes import list_continents, list_currencies, list_languages, list_timezones


def timezones(limit: int, cursor: str | None = None, country: str | None = None) -> Response:
    """GET /timezones"""
    return paging.page_response(list_timezones(g.db, limit, _after(cursor), upper(country)))


def currencies(limit: int, cursor: str | None = None) -> Response:
    """GET /currencies"""
    return paging.page_response(list_currencies(g.db, limit, _after(cursor)))


def languages(limit: int, cursor: str | None = None) -> Response:
    """GET /languages"""
    return paging.page_response(list_languages(g.db, limit, _after(cursor)))


def continents(limit: int, cursor: str | None = None) -> Response:
    """GET /continents"""
    return paging.page_response(list_continents(g.db, limit, _after(cursor)))


def _after(cursor: str | None) -> str:
    # Every key comes after the empty one.
    (key,) = paging.after(cursor, str) or ("",)
    return str(key)
