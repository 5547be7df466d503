"""Sites: an owner's own places, listed by name, nearest to a point, one in full, and written.

Whose they are is what the connection's request claims (`db.act_as(ROLE, owner=...)`): the database's policy sees to
it, and each statement says it once more, so that a login above all policies that has forgotten to act as the role
sees nothing either.
"""

# ruff: noqa: S608 - the statements are put together from this module's constants; values are always bound.

from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg2.extensions import connection

from swagger_server.encoder import dumps
from swagger_server.queries.countries import COUNTRY_OF_CODE
from swagger_server.queries.sphere import CHORD, DISTANCE_KM, WITHIN_RADIUS, reckonable
from swagger_server.rows import Key, Page, fetch, fetch_page, fetch_text, narrowed
from swagger_server.search_key import search_key

ROLE = "swagger_server_sites"
"""The role that requests act as."""

OWN = "s.owner = current_setting('request.owner', true)"
"""Whether the site `s` is the caller's."""

ITEM = """s.id, s.external_id, s.name, s.tags, s.address_lines, s.city_id, s.city_text AS city,
        s.country_iso2 AS country, s.lat, s.lon, s.opening_hours, s.phone, s.url, s.attributes,
        s.created_at, s.updated_at"""
"""The members of a site `s` as it is answered, in their order."""

GIVEN = {
    "external_id": "text",
    "name": "text",
    "search_key": "text",
    "tags": "text[]",
    "address_lines": "text[]",
    "city_id": "integer",
    "city": "text",
    "country": "text",
    "lat": "double precision",
    "lon": "double precision",
    "opening_hours": "text",
    "phone": "text",
    "url": "text",
    "attributes": "jsonb",
}
"""What is given of a site, by the names that `given` uses, and the types in SQL."""

COLUMNS = """external_id, name, search_key, tags, address_lines, city_id, city_text, country_iso2,
    country_is_citys, lat, lon, position_is_citys, opening_hours, phone, url, attributes"""
"""The columns that FILLED has the values of, in its order."""

FILLED = """i.external_id, i.name, i.search_key, i.tags, i.address_lines, i.city_id, i.city,
    coalesce(i.country, c.country_iso2), i.country IS NULL AND c.id IS NOT NULL,
    coalesce(i.lat, c.lat), coalesce(i.lon, c.lon), i.lat IS NULL AND c.id IS NOT NULL,
    i.opening_hours, i.phone, i.url, i.attributes"""
"""The values of COLUMNS from what is given, `i`, and its city, `c`, where there is one: LEFT JOIN city c."""

_ONE_GIVEN = ", ".join(f"%({name})s::{kind} AS {name}" for name, kind in GIVEN.items())

_FILTERS = {
    "q": "(s.search_key ^@ %(q)s OR strpos(s.search_key, ' ' || %(q)s) > 0)",
    "country": f"s.country_iso2 = {COUNTRY_OF_CODE}",
    "tag": "%(tag)s = ANY (s.tags)",
    "external_id": "s.external_id = %(external_id)s",
}

SITES = f"""
SELECT row_to_json(item)::text, s.search_key, s.id::text
FROM site s, LATERAL (SELECT {ITEM}) AS item
WHERE {OWN}{{filters}}
ORDER BY s.search_key, s.id
LIMIT %(fetch)s"""
_LIST_FILTERS = {
    **_FILTERS,
    "radius_km": WITHIN_RADIUS,
    "after": "(s.search_key, s.id) > %(after)s",
}

# The nearest first and then the radius: the index knows the order, and those beyond are at the end of it.
NEAREST = f"""
SELECT row_to_json(item)::text, chord, s.id::text
FROM (
    SELECT *, {CHORD} AS chord FROM site s
    WHERE {OWN} AND position IS NOT NULL{{filters}}
    ORDER BY {CHORD}, id LIMIT %(fetch)s
) AS s, LATERAL (SELECT {ITEM}, {DISTANCE_KM} AS distance_km) AS item
WHERE true{{within}}
ORDER BY chord, s.id"""
_NEAREST_FILTERS = {**_FILTERS, "after": f"({CHORD}, s.id) > %(after)s"}
_WITHIN = {"radius_km": "chord <= 2 * sin(least(%(radius_km)s / (2 * 6371.0088), pi() / 2))"}

SITE = f"""
SELECT s.version, row_to_json(item)::text
FROM site s, LATERAL (SELECT {ITEM}) AS item
WHERE {OWN} AND s.id = %(id)s"""

LOCKED = f"""
SELECT s.version, row_to_json(item)::text
FROM site s, LATERAL (
    SELECT s.external_id, s.name, s.tags, s.address_lines, s.city_id, s.city_text AS city,
        CASE WHEN NOT s.country_is_citys THEN s.country_iso2 END AS country,
        CASE WHEN NOT s.position_is_citys THEN s.lat END AS lat,
        CASE WHEN NOT s.position_is_citys THEN s.lon END AS lon,
        s.opening_hours, s.phone, s.url, s.attributes
) AS item
WHERE {OWN} AND s.id = %(id)s
FOR UPDATE OF s"""

_RETURNED = f"s.version, (SELECT row_to_json(item)::text FROM (SELECT {ITEM}) AS item)"

ADDED = f"""
INSERT INTO site AS s (owner, {COLUMNS})
SELECT current_setting('request.owner'), {FILLED}
FROM (SELECT {_ONE_GIVEN}) AS i LEFT JOIN city c ON c.id = i.city_id
WHERE i.city_id IS NULL OR c.id IS NOT NULL
ON CONFLICT (owner, external_id) DO NOTHING
RETURNING {_RETURNED}, s.id::text"""

# A city that the places no longer have stays where it was, with what it gave.
REPLACED = f"""
UPDATE site AS s SET
    (version, updated_at, {COLUMNS}) = (
    SELECT s.version + 1, now(), i.external_id, i.name, i.search_key, i.tags, i.address_lines, i.city_id, i.city,
        coalesce(i.country, c.country_iso2, old.country),
        i.country IS NULL AND coalesce(c.country_iso2, old.country) IS NOT NULL,
        coalesce(i.lat, c.lat, old.lat), coalesce(i.lon, c.lon, old.lon),
        i.lat IS NULL AND coalesce(c.lat, old.lat) IS NOT NULL,
        i.opening_hours, i.phone, i.url, i.attributes
    FROM (SELECT {_ONE_GIVEN}) AS i LEFT JOIN city c ON c.id = i.city_id, LATERAL (SELECT
        CASE WHEN s.city_id = i.city_id AND s.country_is_citys THEN s.country_iso2 END AS country,
        CASE WHEN s.city_id = i.city_id AND s.position_is_citys THEN s.lat END AS lat,
        CASE WHEN s.city_id = i.city_id AND s.position_is_citys THEN s.lon END AS lon
    ) AS old)
WHERE {OWN} AND s.id = %(id)s
    AND (%(city_id)s::integer IS NULL OR s.city_id = %(city_id)s OR EXISTS (SELECT FROM city WHERE id = %(city_id)s))
RETURNING {_RETURNED}"""

REMOVED = f"DELETE FROM site AS s WHERE {OWN} AND s.id = %(id)s"

WITH_EXTERNAL_ID = f"SELECT s.id::text FROM site s WHERE {OWN} AND s.external_id = %(external_id)s"

CITY_EXISTS = "SELECT true FROM city WHERE id = %(id)s"


class Stored(NamedTuple):
    """A site as JSON, and its version."""

    version: int
    site: str


def given(site: Mapping[str, Any]) -> dict[str, Any]:
    """The values of GIVEN of a site as the API takes it; ValueError for attributes that JSON cannot hold."""
    country = site.get("country")
    return {
        **dict.fromkeys(GIVEN),
        **site,
        "search_key": search_key(site["name"]),
        "tags": list(site.get("tags", ())),
        "address_lines": list(site.get("address_lines", ())),
        "country": None if country is None else country.upper(),
        "lat": reckonable(site.get("lat")),
        "lon": reckonable(site.get("lon")),
        "attributes": dumps(site.get("attributes", {})),
    }


def list_sites(
    conn: connection,
    limit: int,
    after: Key | None,
    *,
    q: str | None = None,
    country: str | None = None,
    near: tuple[float, float] | None = None,
    radius_km: float | None = None,
    tag: str | None = None,
    external_id: str | None = None,
) -> Page:
    """The caller's sites by name; the key is (search key, id).

    `q` is the search key of what a word of the name begins with, `country` an ISO2 or ISO3 code in upper case, `near`
    the point (degrees) from which `radius_km` counts.
    """
    lat, lon = near or (None, None)
    wanted = {
        "q": q,
        "country": country,
        "tag": tag,
        "external_id": external_id,
        "radius_km": None if near is None else reckonable(radius_km),
        "after": after,
    }
    sql = SITES.format(filters=narrowed(_LIST_FILTERS, wanted))
    return fetch_page(conn, sql, {"lat": lat, "lon": lon, **wanted}, limit)


def nearest_sites(
    conn: connection,
    lat: float,
    lon: float,
    limit: int,
    after: Key | None,
    *,
    radius_km: float | None = None,
    country: str | None = None,
    tag: str | None = None,
) -> Page:
    """The caller's sites that have a position by great-circle distance from the point (degrees).

    The key is (chord, id); the chord is the straight distance on the unit sphere. Without `radius_km` there is no
    bound.
    """
    wanted = {"country": country, "tag": tag, "after": after}
    point = {"lat": reckonable(lat), "lon": reckonable(lon)}
    within = {"radius_km": reckonable(radius_km)}
    sql = NEAREST.format(filters=narrowed(_NEAREST_FILTERS, wanted), within=narrowed(_WITHIN, within))
    return fetch_page(conn, sql, {**point, **within, **wanted}, limit)


def find_site(conn: connection, site_id: str) -> Stored | None:
    """One of the caller's sites in full; None where there is none of that id."""
    return _stored(fetch(conn, SITE, {"id": site_id}))


def lock_site(conn: connection, site_id: str) -> Stored | None:
    """What was given of one of the caller's sites, null for the rest. None where there is none of that id.

    Nobody else changes it before the end of the transaction; waits for whoever changes it now.
    """
    return _stored(fetch(conn, LOCKED, {"id": site_id}))


def add_site(conn: connection, values: Mapping[str, Any]) -> tuple[str, Stored] | None:
    """A new site of the caller's from the values of `given`: its id and the site.

    None where its external_id is taken or its city is unknown.
    """
    rows = fetch(conn, ADDED, values)
    return (rows[0][2], Stored(*rows[0][:2])) if rows else None


def replace_site(conn: connection, site_id: str, values: Mapping[str, Any]) -> Stored | None:
    """All that is given of a site of the caller's anew, which `lock_site` has found; None where the city is unknown.

    Raises psycopg2's UniqueViolation where another site has the external_id.
    """
    return _stored(fetch(conn, REPLACED, {**values, "id": site_id}))


def remove_site(conn: connection, site_id: str) -> None:
    """Delete a site of the caller's."""
    with conn.cursor() as cur:
        cur.execute(REMOVED, {"id": site_id})


def site_with_external_id(conn: connection, external_id: str) -> str | None:
    """The id of the caller's site that has it."""
    return fetch_text(conn, WITH_EXTERNAL_ID, {"external_id": external_id})


def city_exists(conn: connection, city_id: int) -> bool:
    """Whether there is a city of that number."""
    return bool(fetch(conn, CITY_EXISTS, {"id": city_id}))


def _stored(rows: list[Key]) -> Stored | None:
    return Stored(*rows[0]) if rows else None
