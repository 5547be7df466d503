"""Timezones, currencies, languages and continents, each a short list in the order of its key."""

from psycopg2.extensions import connection

from swagger_server.queries.countries import COUNTRY_OF_CODE
from swagger_server.rows import Page, fetch_page, narrowed

UTC_OFFSET = """(
    SELECT CASE WHEN o < interval '0' THEN '-' ELSE '+' END || to_char(greatest(o, -o), 'HH24:MI')
    FROM (SELECT (now() AT TIME ZONE {zone}) - (now() AT TIME ZONE 'UTC') AS o) AS difference
)"""
"""The offset of a timezone from UTC at this moment, such as "+05:30"; `{zone}` stands for its name."""

TIMEZONES = """
SELECT row_to_json(item)::text, t.name
FROM timezone t,
    LATERAL (SELECT t.name, t.country_iso2 AS country, {offset} AS utc_offset) AS item
WHERE t.name COLLATE "C" > %(after)s{filters}
ORDER BY t.name COLLATE "C"
LIMIT %(fetch)s"""
_OFFSET_OF_TIMEZONE = UTC_OFFSET.format(zone="t.name")
_TIMEZONE_FILTERS = {
    "country": f"t.country_iso2 = {COUNTRY_OF_CODE}",
}

CURRENCIES = """
SELECT row_to_json(item)::text, u.code
FROM currency u, LATERAL (
    SELECT u.code, u.name, ARRAY(
        SELECT iso2 FROM country WHERE currency_code = u.code ORDER BY iso2 COLLATE "C"
    ) AS countries
) AS item
WHERE u.code COLLATE "C" > %(after)s
ORDER BY u.code COLLATE "C"
LIMIT %(fetch)s"""

LANGUAGES = """
SELECT row_to_json(item)::text, l.code
FROM language l, LATERAL (
    SELECT l.code, l.name, ARRAY(
        SELECT DISTINCT country_iso2 COLLATE "C" FROM country_language WHERE language_code = l.code ORDER BY 1
    ) AS countries
) AS item
WHERE l.code COLLATE "C" > %(after)s
ORDER BY l.code COLLATE "C"
LIMIT %(fetch)s"""

CONTINENTS = """
SELECT row_to_json(item)::text, t.code
FROM continent t, LATERAL (
    SELECT t.code, t.name, ARRAY(
        SELECT iso2 FROM country WHERE continent_code = t.code ORDER BY iso2 COLLATE "C"
    ) AS countries
) AS item
WHERE t.code COLLATE "C" > %(after)s
ORDER BY t.code COLLATE "C"
LIMIT %(fetch)s"""


def list_timezones(conn: connection, limit: int, after: str, country: str | None = None) -> Page:
    """Timezones behind the name `after`, of a country if its code (ISO2 or ISO3, upper case) is given."""
    wanted = {"country": country}
    sql = TIMEZONES.format(offset=_OFFSET_OF_TIMEZONE, filters=narrowed(_TIMEZONE_FILTERS, wanted))
    return fetch_page(conn, sql, {"after": after, **wanted}, limit)


def list_currencies(conn: connection, limit: int, after: str) -> Page:
    """Currencies behind the code `after`, with the countries that use them."""
    return fetch_page(conn, CURRENCIES, {"after": after}, limit)


def list_languages(conn: connection, limit: int, after: str) -> Page:
    """Languages behind the code `after`, with the countries where they are spoken."""
    return fetch_page(conn, LANGUAGES, {"after": after}, limit)


def list_continents(conn: connection, limit: int, after: str) -> Page:
    """Continents behind the code `after`, with their countries."""
    return fetch_page(conn, CONTINENTS, {"after": after}, limit)
