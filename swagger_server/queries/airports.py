"""Airports: found by code, name or city, listed by name, nearest to a point, and one in full.

How well an airport fits what was typed is its rank:

| rank | the airport's ...                                                    |
|------|----------------------------------------------------------------------|
| 0    | IATA or ICAO code is what was typed                                  |
| 1    | name, or its city's in any language, is what was typed               |
| 2    | name, a later word of it, city or code begins with what was typed    |
| 3    | name or city has words much like it                                  |

Airports of one rank: those with an IATA code first, and of these the ones that serve the larger cities.
"""

# ruff: noqa: S608 - the statements are put together from this module's constants; values are always bound.

from string import ascii_uppercase, digits
from typing import Any

from psycopg2.extensions import connection

from swagger_server.queries.codes import UTC_OFFSET
from swagger_server.queries.countries import COUNTRY_OF_CODE
from swagger_server.queries.sphere import CHORD, DISTANCE_KM, WITHIN_RADIUS, reckonable
from swagger_server.rows import Key, Page, cut, fetch, fetch_page, fetch_text, narrowed

NEAR_MISS = 3
# Near misses are looked for only where fewer airports than this fit better.
_FEW = 5
# Fewer letters are like too much; more cost in proportion and are nobody's typing.
_SHORTEST_NEAR_MISS, _LONGEST_NEAR_MISS = 3, 40
# Shorter ones are in no trigram that the index could look up.
_SHORTEST_LATER_WORD = 3
_SHORTEST_CITY = 2
# Words that tell no airport from another: who types "inter" is not looking for 1,500 of them.
_COMMON_WORDS = (
    "airport",
    "airfield",
    "field",
    "international",
    "municipal",
    "regional",
    "county",
    "memorial",
)
_IATA_LENGTH, _ICAO_LENGTH = 3, 4

_COLUMNS = """a.icao, a.iata, a.name, a.city_text AS city, a.subdivision_text AS subdivision,
        a.country_iso2 AS country, a.elevation_m, a.lat, a.lon, a.timezone_name AS timezone"""

_FILTERS = {
    "country": f"a.country_iso2 = {COUNTRY_OF_CODE}",
    "has_iata": "(a.iata IS NOT NULL) = %(has_iata)s",
}

AIRPORTS = f"""
SELECT row_to_json(item)::text, a.search_key, a.icao
FROM airport a, LATERAL (SELECT {_COLUMNS}) AS item
WHERE true{{filters}}
ORDER BY a.search_key, a.icao
LIMIT %(fetch)s"""

# The population is looked up for what was found: a join would read all cities first.
SEARCH = f"""
SELECT row_to_json(item)::text, rank, no_iata, size, a.icao
FROM (
    SELECT a.*, rank, no_iata, size
    FROM airport a, LATERAL (SELECT
        CASE
            WHEN %(code)s IN (a.iata, a.icao) THEN 0
            WHEN %(q)s IN (a.search_key, a.city_search_key) OR {{of_city}} THEN 1
            ELSE 2
        END AS rank,
        (a.iata IS NULL)::integer AS no_iata,
        CASE
            WHEN a.iata IS NULL THEN 0
            ELSE -coalesce((SELECT population FROM city WHERE id = a.city_id), 0)
        END AS size
    ) AS weight
    WHERE ({{fits}}){{filters}}
    ORDER BY rank, no_iata, size, a.icao LIMIT %(fetch)s
) AS a, LATERAL (SELECT {_COLUMNS}) AS item
ORDER BY rank, no_iata, size, a.icao"""
_BEGINS = "a.search_key ^@ %(q)s OR a.city_search_key ^@ %(q)s"
_HAS_CODE = "a.iata = ANY (%(iatas)s) OR a.icao = ANY (%(icaos)s)"
_OF_CITY = "a.city_id = ANY (ARRAY(SELECT city_id FROM city_name WHERE search_key = %(q)s))"
_LATER_WORD = "a.search_key LIKE '%% ' || %(q)s || '%%'"

# <%: likeness to the best stretch of words in the name, since nobody types the name of an airport in full.
NEAR_MISSES = f"""
SET LOCAL pg_trgm.word_similarity_threshold = 0.5;
SELECT row_to_json(item)::text, {NEAR_MISS}, no_iata, score, a.icao
FROM airport a, LATERAL (
    SELECT (a.iata IS NULL)::integer AS no_iata, -round(1000000 * greatest(
        word_similarity(%(q)s, a.search_key), word_similarity(%(q)s, coalesce(a.city_search_key, ''))
    ))::integer AS score
) AS weight, LATERAL (SELECT {_COLUMNS}) AS item
WHERE (%(q)s <%% a.search_key OR %(q)s <%% a.city_search_key) AND ({{fits}}) IS NOT TRUE{{filters}}
ORDER BY no_iata, score, a.icao
LIMIT %(fetch)s"""

NEAREST = f"""
SELECT row_to_json(item)::text, chord, a.icao
FROM (
    SELECT *, {CHORD} AS chord FROM airport a WHERE true{{filters}} ORDER BY {CHORD}, icao LIMIT %(fetch)s
) AS a, LATERAL (SELECT {_COLUMNS}, {DISTANCE_KM} AS distance_km) AS item
ORDER BY chord, a.icao"""
_NEAREST_FILTERS = {
    # Written so that the index of only those airports serves.
    "with_iata": "a.iata IS NOT NULL",
    "without_iata": "a.iata IS NULL",
    "radius_km": WITHIN_RADIUS,
    "after": f"({CHORD}, a.icao) > %(after)s",
}

AIRPORT = f"""
SELECT row_to_json(item)::text
FROM airport a, LATERAL (
    SELECT a.icao, a.iata, a.name, a.city_text AS city, a.subdivision_text AS subdivision,
        (SELECT row_to_json(k) FROM (SELECT iso2, iso3, name FROM country WHERE iso2 = a.country_iso2) AS k)
            AS country,
        (SELECT row_to_json(c) FROM (
            SELECT id, name, label, round(a.city_distance_km::numeric, 3) AS distance_km
            FROM city WHERE id = a.city_id) AS c) AS served_city,
        a.elevation_m, a.lat, a.lon,
        (SELECT row_to_json(t) FROM (
            SELECT a.timezone_name AS name, {UTC_OFFSET.format(zone="a.timezone_name")} AS utc_offset
        ) AS t) AS timezone
) AS item
WHERE %(code)s IN (a.iata, a.icao)"""


def list_airports(
    conn: connection,
    limit: int,
    after: Key | None,
    country: str | None = None,
    has_iata: bool | None = None,
) -> Page:
    """Airports by name; the key is (search key, icao). `country` is an ISO2 or ISO3 code in upper case."""
    wanted = {"country": country, "has_iata": has_iata, "after": after}
    conditions = {**_FILTERS, "after": "(a.search_key, a.icao) > %(after)s"}
    return fetch_page(conn, AIRPORTS.format(filters=narrowed(conditions, wanted)), wanted, limit)


def search_airports(
    conn: connection,
    q: str,
    limit: int,
    after: Key | None,
    country: str | None = None,
    has_iata: bool | None = None,
) -> Page:
    """Airports that fit the search key `q`, best first. Filters as of `list_airports`.

    The key is (rank, 1 without IATA code else 0, -population of the city served or -score of a near miss,
    icao, whether the list goes on to near misses).
    """
    params = {"q": q, **_codes(q), "country": country, "has_iata": has_iata}
    rows, near = _fitting(conn, params, limit, after)
    if near and len(rows) <= limit:
        rows += _near_misses(conn, params, limit + 1 - len(rows), after)
    return cut([(*row, near) for row in rows], limit)


def _codes(q: str) -> dict[str, Any]:
    """The codes that `q` is or lacks one character of; listed, they can be looked up by any index."""
    code = q.upper()
    return {
        "code": code,
        "iatas": _completions(code, _IATA_LENGTH),
        "icaos": _completions(code, _ICAO_LENGTH),
    }


def _completions(code: str, length: int) -> list[str]:
    if len(code) == length - 1:
        return [code + last for last in ascii_uppercase + digits]
    return [code] if len(code) == length else []


def _fitting(
    conn: connection, params: dict[str, Any], limit: int, after: Key | None
) -> tuple[list[Key], bool]:
    """The airports of ranks below NEAR_MISS, and whether near misses are to follow them.

    The first page decides about that, and its cursor carries it on, as in the search for cities.
    """
    if after is not None and after[0] == NEAR_MISS:
        return [], True
    size = limit + 1 if after else max(limit + 1, _FEW)
    behind = {"after": "(rank, no_iata, size, a.icao) > %(after)s"}
    rows = _search(conn, SEARCH, params, behind, after and after[:4], size)
    return rows, bool(after[4]) if after else _want_near_misses(params["q"], rows)


def _want_near_misses(q: str, rows: list[Key]) -> bool:
    # Who has typed a code has made no mistake.
    is_code = any(rank == 0 for _, rank, *_ in rows)
    return len(rows) < _FEW and _SHORTEST_NEAR_MISS <= len(q) <= _LONGEST_NEAR_MISS and not is_code


def _near_misses(conn: connection, params: dict[str, Any], size: int, after: Key | None) -> list[Key]:
    behind = {"after": "(no_iata, score, a.icao) > %(after)s"}
    reached = after[1:4] if after is not None and after[0] == NEAR_MISS else None
    return _search(conn, NEAR_MISSES, params, behind, reached, size)


def _search(
    conn: connection, sql: str, params: dict[str, Any], behind: dict[str, str], after: Key | None, size: int
) -> list[Key]:
    wanted = {name: params[name] for name in _FILTERS} | {"after": after}
    filters = narrowed({**_FILTERS, **behind}, wanted)
    conditions = _conditions(params["q"])
    of_city = _OF_CITY if _OF_CITY in conditions else "false"
    statement = sql.format(fits=" OR ".join(conditions), of_city=of_city, filters=filters)
    return fetch(conn, statement, {**params, "after": after, "fetch": size})


def _conditions(q: str) -> list[str]:
    """The ways in which an airport can fit; those that cannot apply would only cost time to plan."""
    common = any(word.startswith(q) for word in _COMMON_WORDS)
    ways = {
        _BEGINS: True,
        _HAS_CODE: _IATA_LENGTH - 1 <= len(q) <= _ICAO_LENGTH,
        _OF_CITY: len(q) >= _SHORTEST_CITY,
        _LATER_WORD: len(q) >= _SHORTEST_LATER_WORD and not common,
    }
    return [way for way, applies in ways.items() if applies]


def nearest_airports(
    conn: connection,
    lat: float,
    lon: float,
    limit: int,
    after: Key | None,
    radius_km: float | None = None,
    has_iata: bool | None = None,
) -> Page:
    """Airports by great-circle distance from the point (degrees); the key is (chord, icao).

    The chord is the straight distance on the unit sphere. Without `radius_km` there is no bound.
    """
    wanted = {
        "with_iata": has_iata or None,
        "without_iata": has_iata is False or None,
        "radius_km": reckonable(radius_km),
        "after": after,
    }
    sql = NEAREST.format(filters=narrowed(_NEAREST_FILTERS, wanted))
    return fetch_page(conn, sql, {"lat": reckonable(lat), "lon": reckonable(lon), **wanted}, limit)


def find_airport(conn: connection, code: str) -> str | None:
    """One airport in full as JSON, by IATA or ICAO code in upper case; None where there is none."""
    return fetch_text(conn, AIRPORT, {"code": code})
