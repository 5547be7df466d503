"""Cities: found as somebody types, listed by size, nearest to a point, and one in full.

How well a city fits what was typed is its rank. A city counts once, with its best name:

| rank | the search key of the city's ...                |
|------|-------------------------------------------------|
| 0    | own name is what was typed                      |
| 1    | alternate name or code is what was typed        |
| 2    | own name begins with what was typed             |
| 3    | alternate name or code begins with it           |
| 4    | name, and its subdivision or country, is it     |
| 5    | own name is much like it                        |
| 6    | alternate name is much like it                  |
"""

# ruff: noqa: S608 - the statements are put together from this module's constants; values are always bound.

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from psycopg2.extensions import connection

from swagger_server.queries.codes import UTC_OFFSET
from swagger_server.queries.countries import COUNTRY_OF_CODE
from swagger_server.queries.sphere import CHORD, DISTANCE_KM, WITHIN_RADIUS, reckonable
from swagger_server.rows import Key, Page, cut, fetch, fetch_page, fetch_text, narrowed

# Near misses are looked for only where fewer cities than this fit better: they cost the most and help the
# least.
_FEW = 5
# Fewer letters are like too much; more cost in proportion and are nobody's typing.
_SHORTEST_NEAR_MISS, _LONGEST_NEAR_MISS = 3, 40
# In no search key, and behind all letters: what begins with q is between that and q with this behind it.
_LAST = "\U0010ffff"

_ITEM = """c.id, c.name, {extra}c.label, c.country_iso2 AS country, c.subdivision_code AS subdivision,
        c.population, c.lat, c.lon, c.timezone_name AS timezone"""
_PLAIN = _ITEM.format(extra="")
_HIT = _ITEM.format(extra="matched_name, ")

_FILTERS = {
    "country": f"c.country_iso2 = {COUNTRY_OF_CODE}",
    "subdivision": "c.subdivision_code = %(subdivision)s",
    "min_population": "c.population >= %(min_population)s",
}

# The first comparison is for the index, which cannot use two directions in one.
_SMALLER = "c.population <= %(population)s AND (c.population < %(population)s OR c.id > %(id)s)"

CITIES = """
SELECT row_to_json(item)::text, c.population, c.id
FROM city c, LATERAL (SELECT NULL::text AS matched_name) AS nothing, LATERAL (SELECT {columns}) AS item
WHERE true{filters}
ORDER BY c.population DESC, c.id
LIMIT %(fetch)s"""

# To plan this takes longer than to run it, so it is planned once in a session, for whatever will be typed. So the
# beginning of a name is said as a range, which an index serves whatever it is, and no plan depends on how frequent
# it is: one letter, and two of other names, are looked for among the largest cities first, which are soon walked
# through and most often fill the page. Elsewhere a sum, which has no index, keeps the planner from a walk that might
# not end.
_PLANNED_ONCE = "SET LOCAL plan_cache_mode = force_generic_plan;"
_BEGINS = "{0}.search_key >= %(q)s AND {0}.search_key < %(end)s"
_LARGEST = "(SELECT * FROM city c WHERE true{filters} ORDER BY c.population DESC, c.id LIMIT 300)"
_IS_FULL = "(SELECT count(*) FROM {}) = %(fetch)s"

_SAME = """same AS MATERIALIZED (
    SELECT n.city_id, n.name, least(n.kind, 1) AS rank FROM city_name n{meant} WHERE n.search_key = %(q)s
)"""

# The page is found in the index alone.
_OWN = f"""
    SELECT c.*, c.name AS matched_name, 2 AS rank
    FROM (
        SELECT c.id
        FROM city c
        WHERE {_BEGINS.format("c")} AND c.id <> ALL (ARRAY(SELECT city_id FROM same)){{filters}}{{after_own}}{{more}}
        ORDER BY c.population + 0 DESC, c.id LIMIT %(fetch)s
    ) AS page JOIN city c USING (id)"""
_OWN_OF_LARGEST = f"""
    SELECT c.*, c.name AS matched_name, 2 AS rank
    FROM {_LARGEST} AS c
    WHERE c.search_key ^@ %(q)s AND c.id <> ALL (ARRAY(SELECT city_id FROM same)){{after_own}}
    ORDER BY c.population DESC, c.id LIMIT %(fetch)s"""

_BEST = """
    SELECT *
    FROM (
        (SELECT c.*, same.name AS matched_name, rank
        FROM same JOIN city c ON c.id = same.city_id
        WHERE true{filters}{after_same}
        ORDER BY rank, c.population DESC, c.id LIMIT %(fetch)s)
        UNION ALL
        SELECT * FROM own
    ) AS c
    ORDER BY rank, population DESC, id LIMIT %(fetch)s"""

_OTHER = f"""
    SELECT c.*
    FROM city c
    WHERE c.id = ANY (ARRAY(SELECT n.city_id FROM city_name n WHERE {_BEGINS.format("n")} AND n.kind > 0))
        AND NOT c.search_key ^@ %(q)s AND c.id <> ALL (ARRAY(SELECT city_id FROM same))
        {{filters}}{{after_other}}{{more}}
    ORDER BY c.population + 0 DESC, c.id LIMIT %(fetch)s"""
_OTHER_OF_LARGEST = f"""
    SELECT c.*
    FROM {_LARGEST} AS c
    WHERE EXISTS (SELECT FROM city_name n WHERE n.city_id = c.id AND {_BEGINS.format("n")} AND n.kind > 0)
        AND NOT c.search_key ^@ %(q)s AND c.id <> ALL (ARRAY(SELECT city_id FROM same)){{after_other}}{{more}}
    ORDER BY c.population DESC, c.id LIMIT %(fetch)s"""

_NAMED = f"""
    SELECT c.*, named.name AS matched_name, 3 AS rank
    FROM other AS c, LATERAL (
        SELECT n.name FROM city_name n WHERE n.city_id = c.id AND {_BEGINS.format("n")}
        ORDER BY n.kind, length(n.search_key), n.search_key LIMIT 1
    ) AS named"""


def _search(letters: int, has_best: bool) -> str:
    """The statement for ranks 0 to 3, or for the last of them alone, where `letters` were typed."""
    not_full = f" AND NOT {_IS_FULL.format('best')}" if has_best else ""
    parts = [_SAME]
    if has_best:
        parts += [*_page("own", _OWN, _OWN_OF_LARGEST, letters == 1, ""), f"best AS MATERIALIZED ({_BEST})"]
    parts += _page("other", _OTHER, _OTHER_OF_LARGEST, letters <= 2, not_full)
    found = f"SELECT * FROM best UNION ALL {_NAMED}" if has_best else _NAMED
    return f"""{_PLANNED_ONCE}
WITH {", ".join(parts)}
SELECT row_to_json(item)::text, rank, -c.population, c.id
FROM ({found}) AS c, LATERAL (SELECT {{columns}}) AS item
ORDER BY rank, c.population DESC, c.id
LIMIT %(fetch)s"""


def _page(name: str, of_all: str, of_largest: str, tries_largest: bool, more: str) -> list[str]:
    """The query `name`: a page of all cities, or of the largest if they are tried first and fill it."""
    if not tries_largest:
        return [f"{name} AS ({of_all.replace('{more}', more)})"]
    is_full = _IS_FULL.format(f"largest_{name}")
    rest = of_all.replace("{more}", f"{more} AND NOT {is_full}")
    return [
        f"largest_{name} AS MATERIALIZED ({of_largest.replace('{more}', more)})",
        f"{name} AS (SELECT * FROM largest_{name} WHERE {is_full} UNION ALL ({rest}))",
    ]


# "paris texas", "san jose ca", and the labels that we give: each way of cutting what was typed into a name in full
# and the beginning of a place. The joins are written in the order that is best, so that none is looked for.
SEARCH_WITH_PLACE = """
SET LOCAL join_collapse_limit = 1;
SELECT row_to_json(item)::text, 4, -c.population, c.id
FROM (
    SELECT DISTINCT ON (c.id) c.*, n.name AS matched_name
    FROM unnest(%(heads)s, %(tails)s) AS typed (head, tail)
        JOIN city_name n ON n.search_key = head
        JOIN city c ON c.id = n.city_id
        JOIN country k ON k.iso2 = c.country_iso2
        LEFT JOIN subdivision s ON s.code = c.subdivision_code
    WHERE (k.search_key ^@ tail OR s.search_key ^@ tail OR (s.search_key || ' ' || k.search_key) ^@ tail
            OR upper(tail) IN (k.iso2, k.iso3) OR s.code = k.iso2 || '.' || upper(tail))
        AND NOT {fits_better}{filters}
    ORDER BY c.id, n.kind
) AS c, LATERAL (SELECT {columns}) AS item
WHERE true{after_with_place}
ORDER BY c.population DESC, c.id
LIMIT %(fetch)s"""

# Two or three letters are mostly the beginning of a name: that a small town is called so somewhere must not
# put it before the metropolis. Those of a large city are more likely meant as such: "LA", "NYC".
_MEANT = " JOIN city c ON c.id = n.city_id AND (n.kind = 0 OR c.population >= 500000)"
_LONGEST_ABBREVIATION = 3

# Likeness counts most; of two alike, somebody more likely means the larger place.
_SCORE = "-round((similarity({key}, %(q)s) + ln(c.population + 1) / 30) * 1000000)::integer"
_FITS_BETTER = "EXISTS (SELECT FROM city_name b WHERE b.city_id = c.id AND b.search_key ^@ %(q)s)"
# A threshold above pg_trgm's 0.3 loses nothing that anybody would recognise and spares a third of the time.
_THRESHOLD = "SET LOCAL pg_trgm.similarity_threshold = 0.35;"

NEAR_MISSES = f"""
{_THRESHOLD}
SELECT row_to_json(item)::text, 5, score, c.id
FROM (
    SELECT c.*, c.name AS matched_name, {_SCORE.format(key="c.search_key")} AS score
    FROM city c
    WHERE c.search_key %% %(q)s AND NOT {_FITS_BETTER}{{filters}}
) AS c, LATERAL (SELECT {{columns}}) AS item
WHERE true{{after_near}}
ORDER BY score, c.id
LIMIT %(fetch)s"""

NEAR_MISSES_OF_OTHER_NAMES = f"""
{_THRESHOLD}
SELECT row_to_json(item)::text, 6, score, c.id
FROM (
    SELECT DISTINCT ON (c.id) c.*, n.name AS matched_name, {_SCORE.format(key="n.search_key")} AS score
    FROM city_name n JOIN city c ON c.id = n.city_id
    WHERE n.search_key %% %(q)s AND NOT c.search_key %% %(q)s AND NOT {_FITS_BETTER}{{filters}}
    ORDER BY c.id, score, n.kind, n.search_key
) AS c, LATERAL (SELECT {{columns}}) AS item
WHERE true{{after_near_other}}
ORDER BY score, c.id
LIMIT %(fetch)s"""


class _Stage(NamedTuple):
    """A statement that yields the cities of some ranks, up to `last_rank`."""

    sql: str
    last_rank: int


_BEGINNING = 3
"""The last rank of those whose name begins with what was typed."""

_SEARCHES = {
    (letters, has_best): _Stage(_search(letters, has_best), _BEGINNING)
    for letters in (1, 2, 3)
    for has_best in (False, True)
}
_WITH_PLACE = _Stage(SEARCH_WITH_PLACE, 4)
_NEAR_MISSES = (_Stage(NEAR_MISSES, 5), _Stage(NEAR_MISSES_OF_OTHER_NAMES, 6))
_AFTER = {
    "after_same": "(rank, -c.population, c.id) > %(after)s",
    "after_own": "(2, -c.population, c.id) > %(after)s",
    "after_other": "(3, -c.population, c.id) > %(after)s",
    "after_with_place": "(4, -c.population, c.id) > %(after)s",
    "after_near": "(5, score, c.id) > %(after)s",
    "after_near_other": "(6, score, c.id) > %(after)s",
}

NEAREST = f"""
SELECT row_to_json(item)::text, chord, c.id
FROM (
    SELECT *, {CHORD} AS chord FROM city c WHERE true{{filters}} ORDER BY {CHORD}, id LIMIT %(fetch)s
) AS c, LATERAL (SELECT {_PLAIN}, {DISTANCE_KM} AS distance_km) AS item
ORDER BY chord, c.id"""
_NEAREST_FILTERS = {
    "min_population": "c.population >= %(min_population)s",
    "radius_km": WITHIN_RADIUS,
    "after": f"({CHORD}, c.id) > %(after)s",
}

CITY = f"""
SELECT row_to_json(item)::text
FROM city c, LATERAL (
    SELECT c.id, c.name, c.label,
        (SELECT row_to_json(k) FROM (SELECT iso2, iso3, name FROM country WHERE iso2 = c.country_iso2) AS k)
            AS country,
        (SELECT row_to_json(s) FROM (SELECT code, name FROM subdivision WHERE code = c.subdivision_code) AS s)
            AS subdivision,
        (SELECT iso2 FROM country WHERE capital_city_id = c.id LIMIT 1) AS capital_of,
        c.population, c.lat, c.lon,
        (SELECT row_to_json(t) FROM (
            SELECT c.timezone_name AS name, {UTC_OFFSET.format(zone="c.timezone_name")} AS utc_offset
        ) AS t) AS timezone,
        ARRAY(SELECT name FROM city_name WHERE city_id = c.id AND kind > 0 ORDER BY kind, search_key)
            AS alternate_names
) AS item
WHERE c.id = %(id)s"""


def list_cities(
    conn: connection,
    limit: int,
    after: Key | None,
    country: str | None = None,
    subdivision: str | None = None,
    min_population: int | None = None,
    hits: bool = False,
) -> Page:
    """Cities from the largest down; the key is (population, id).

    Filters: `country` by ISO2 or ISO3 code in upper case, `subdivision` by code. With `hits` the items have
    a matched_name, which is null.
    """
    wanted = {"country": country, "subdivision": subdivision, "min_population": min_population}
    filters = narrowed(_FILTERS, wanted) + ("" if after is None else f" AND {_SMALLER}")
    population, city = after or (None, None)
    sql = CITIES.format(columns=_HIT if hits else _PLAIN, filters=filters)
    return fetch_page(conn, sql, {**wanted, "population": population, "id": city}, limit)


def search_cities(
    conn: connection,
    q: str,
    limit: int,
    after: Key | None,
    country: str | None = None,
    subdivision: str | None = None,
    min_population: int | None = None,
) -> Page:
    """Cities with a name that fits the search key `q`, best first. Filters as of `list_cities`.

    The key is (rank, -population or -score of a near miss, id, whether the list goes on to near misses).
    """
    filters = {"country": country, "subdivision": subdivision, "min_population": min_population}
    # A first page looks far enough to know whether the cities that fit are few.
    size = limit + 1 if after else max(limit + 1, _FEW)
    rows = _collect(conn, _stages(q, after), q, size, after, filters)
    # Its cursor carries the answer on: what a list consists of must not change between two pages.
    near = bool(after[3]) if after else _want_near_misses(q, rows)
    if near:
        rows += _collect(conn, _NEAR_MISSES, q, limit + 1 - len(rows), after, filters)
    return cut([(*row, near) for row in rows], limit)


def _stages(q: str, after: Key | None) -> tuple[_Stage, ...]:
    """What finds the cities that fit, behind `after`."""
    beginning = _SEARCHES[min(len(q), 3), after is None or after[0] < _BEGINNING]
    return (beginning, _WITH_PLACE) if " " in q else (beginning,)


def _want_near_misses(q: str, rows: Sequence[Key]) -> bool:
    # Who has named the place too, and found it, has made no mistake.
    exact = any(rank == _WITH_PLACE.last_rank for _, rank, *_ in rows)
    return len(rows) < _FEW and _SHORTEST_NEAR_MISS <= len(q) <= _LONGEST_NEAR_MISS and not exact


def _collect(
    conn: connection,
    stages: Sequence[_Stage],
    q: str,
    size: int,
    after: Key | None,
    filters: dict[str, Any],
) -> list[Key]:
    """The first `size` cities behind `after`; a stage is run only where those before it leave room."""
    rows: list[Key] = []
    for stage in stages:
        if len(rows) < size and (after is None or stage.last_rank >= after[0]):
            params = {**_typed(q), "after": after and after[:3], "fetch": size - len(rows), **filters}
            rows += fetch(conn, _statement(stage.sql, q, after, filters), params)
    return rows


def _typed(q: str) -> dict[str, Any]:
    words = q.split(" ")
    return {
        "q": q,
        "end": q + _LAST,
        "heads": [" ".join(words[:cut]) for cut in range(1, len(words))],
        "tails": [" ".join(words[cut:]) for cut in range(1, len(words))],
    }


def _statement(sql: str, q: str, after: Key | None, filters: Mapping[str, Any]) -> str:
    wanted = frozenset(name for name, value in filters.items() if value is not None)
    return _written(sql, len(q) <= _LONGEST_ABBREVIATION, after is not None, wanted)


@lru_cache(maxsize=1000)
def _written(sql: str, abbreviates: bool, goes_on: bool, wanted: frozenset[str]) -> str:
    """A stage's statement; there are few different ones."""
    return sql.format(
        columns=_HIT,
        meant=_MEANT if abbreviates else "",
        filters=narrowed(_FILTERS, dict.fromkeys(sorted(wanted), True)),
        fits_better=_FITS_BETTER,
        **{name: f" AND {condition}" if goes_on else "" for name, condition in _AFTER.items()},
    )


def nearest_cities(
    conn: connection,
    lat: float,
    lon: float,
    limit: int,
    after: Key | None,
    radius_km: float | None = None,
    min_population: int | None = None,
) -> Page:
    """Cities by great-circle distance from the point (degrees); the key is (chord, id).

    The chord is the straight distance on the unit sphere. Without `radius_km` there is no bound.
    """
    wanted = {"radius_km": reckonable(radius_km), "min_population": min_population, "after": after}
    sql = NEAREST.format(filters=narrowed(_NEAREST_FILTERS, wanted))
    return fetch_page(conn, sql, {"lat": reckonable(lat), "lon": reckonable(lon), **wanted}, limit)


def find_city(conn: connection, city_id: int) -> str | None:
    """One city in full as JSON, by GeoNames number; None where there is none."""
    return fetch_text(conn, CITY, {"id": city_id})
