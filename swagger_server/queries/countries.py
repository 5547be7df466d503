"""Countries, and the subdivisions in them."""

# ruff: noqa: S608 - the statements are put together from this module's constants; values are always bound.

from psycopg2.extensions import connection

from swagger_server.rows import Key, Page, fetch_page, fetch_text, narrowed

COUNTRY_OF_CODE = "(SELECT iso2 FROM country WHERE %(country)s IN (iso2, iso3))"
"""The ISO2 code of the country whose ISO2 or ISO3 code (upper case) is bound as `country`."""

COUNTRIES = """
SELECT row_to_json(item)::text, rank, c.search_key, c.iso2
FROM (SELECT *, {rank} AS rank FROM country) AS c, LATERAL (
    SELECT c.iso2, c.iso3, c.name, c.continent_code AS continent,
        (SELECT row_to_json(k) FROM (SELECT id, name FROM city WHERE id = c.capital_city_id) AS k) AS capital,
        c.currency_code AS currency, c.area_km2, c.population
) AS item
WHERE rank IS NOT NULL{filters}
ORDER BY rank, c.search_key, c.iso2
LIMIT %(fetch)s"""
_ALL_ALIKE = "0"
_RANK = """CASE
    WHEN search_key = %(q)s OR upper(%(q)s) IN (iso2, iso3) THEN 0
    WHEN search_key ^@ %(q)s THEN 1
    WHEN strpos(search_key, ' ' || %(q)s) > 0 THEN 2
END"""
_FILTERS = {
    "continent": "c.continent_code = %(continent)s",
    "currency": "c.currency_code = %(currency)s",
    "language": "c.iso2 IN (SELECT country_iso2 FROM country_language WHERE language_code = %(language)s)",
    "after": "(rank, c.search_key, c.iso2) > %(after)s",
}

COUNTRY = """
SELECT row_to_json(item)::text
FROM country c, LATERAL (
    SELECT c.iso2, c.iso3, c.iso_numeric, c.name,
        (SELECT row_to_json(t) FROM (SELECT code, name FROM continent WHERE code = c.continent_code) AS t)
            AS continent,
        (SELECT row_to_json(k) FROM (SELECT id, name FROM city WHERE id = c.capital_city_id) AS k) AS capital,
        c.area_km2, c.population,
        (SELECT row_to_json(u) FROM (SELECT code, name FROM currency WHERE code = c.currency_code) AS u)
            AS currency,
        (SELECT coalesce(json_agg(row_to_json(l) ORDER BY position), '[]') FROM country_language cl
            LEFT JOIN language ON code = language_code,
            LATERAL (SELECT language_tag AS tag, code, name) AS l
            WHERE cl.country_iso2 = c.iso2) AS languages,
        (SELECT coalesce(json_agg(row_to_json(b) ORDER BY b.name), '[]')
            FROM (SELECT iso2, name FROM country_neighbour JOIN country ON iso2 = neighbour_iso2
                WHERE country_iso2 = c.iso2) AS b) AS neighbours,
        c.dialling_code, c.tld, c.postal_code_regex
) AS item
WHERE %(country)s IN (c.iso2, c.iso3)"""

COUNTRY_EXISTS = "SELECT iso2 FROM country WHERE %(country)s IN (iso2, iso3)"

SUBDIVISIONS = f"""
SELECT row_to_json(item)::text, s.search_key, s.code
FROM subdivision s, LATERAL (SELECT s.code, s.name, s.country_iso2 AS country) AS item
WHERE s.country_iso2 = {COUNTRY_OF_CODE}{{filters}}
ORDER BY s.search_key, s.code
LIMIT %(fetch)s"""


def search_countries(
    conn: connection,
    limit: int,
    after: Key | None,
    q: str | None = None,
    continent: str | None = None,
    currency: str | None = None,
    language: str | None = None,
) -> Page:
    """Countries whose name or code fits the search key `q`, best first; all by name without one.

    The filters are codes as they are stored. The key is (rank, search key, iso2).
    """
    wanted = {"continent": continent, "currency": currency, "language": language, "after": after}
    rank = _ALL_ALIKE if q is None else _RANK
    sql = COUNTRIES.format(rank=rank, filters=narrowed(_FILTERS, wanted))
    return fetch_page(conn, sql, {"q": q, **wanted}, limit)


def find_country(conn: connection, code: str) -> str | None:
    """One country in full as JSON, by ISO2 or ISO3 code in upper case; None where there is none."""
    return fetch_text(conn, COUNTRY, {"country": code})


def country_exists(conn: connection, code: str) -> bool:
    """Whether a country has this ISO2 or ISO3 code (upper case)."""
    return fetch_text(conn, COUNTRY_EXISTS, {"country": code}) is not None


def list_subdivisions(conn: connection, code: str, limit: int, after: Key | None) -> Page:
    """A country's subdivisions by name; the key is (search key, code). Empty for an unknown country."""
    filters = narrowed({"after": "(s.search_key, s.code) > %(after)s"}, {"after": after})
    sql = SUBDIVISIONS.format(filters=filters)
    return fetch_page(conn, sql, {"country": code, "after": after}, limit)
