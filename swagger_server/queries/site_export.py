"""All of an owner's sites, by name, from a cursor of the server: a few at a time, of one moment."""

# ruff: noqa: S608 - the statements are put together from this module's constants; values are always bound.

from collections.abc import Generator

from psycopg2.extensions import connection, cursor

from swagger_server.queries.sites import ITEM, OWN
from swagger_server.rows import Key

_SITES = f"SELECT {{columns}} FROM site s WHERE {OWN} ORDER BY s.search_key, s.id"

AS_JSON = _SITES.format(columns=f"(SELECT row_to_json(item)::text FROM (SELECT {ITEM}) AS item)")

AS_FEATURES = _SITES.format(
    columns=f"""json_build_object(
        'type', 'Feature',
        'id', s.id,
        'geometry', CASE WHEN position IS NOT NULL THEN
            json_build_object('type', 'Point', 'coordinates', json_build_array(s.lon, s.lat)) END,
        'properties', (SELECT to_jsonb(item) - '{{id,lat,lon}}'::text[] FROM (SELECT {ITEM}) AS item))::text"""
)
"""RFC 7946."""

CELLS = {
    "id": "s.id",
    "external_id": "s.external_id",
    "name": "s.name",
    "tags": "array_to_string(s.tags, E'\\n')",
    "address_lines": "array_to_string(s.address_lines, E'\\n')",
    "city_id": "s.city_id",
    "city": "s.city_text",
    "country": "s.country_iso2",
    "lat": "s.lat",
    "lon": "s.lon",
    "opening_hours": "s.opening_hours",
    "phone": "s.phone",
    "url": "s.url",
    "attributes": "CASE WHEN s.attributes <> '{}' THEN s.attributes::text END",
    "created_at": "to_json(s.created_at) #>> '{}'",
    "updated_at": "to_json(s.updated_at) #>> '{}'",
}
"""The cells of a row of CSV: as the JSON has them, a list with each item on a line of its own."""

_PLAIN = {"id", "city_id", "country", "lat", "lon", "created_at", "updated_at"}
"""Those that need no quotation marks, and are no formulas."""

# Made here and not in Python, where it would take from other requests three times the time of all the rest.
_QUOTED = "'\"' || replace({text}, '\"', '\"\"') || '\"'"
_NO_FORMULA = (
    """CASE WHEN left(ltrim({text}, ''''), 1) IN ('=', '+', '-', '@') THEN '''' || {text} ELSE {text} END"""
)


def _cell(name: str) -> str:
    text = f"({CELLS[name]})::text"
    return text if name in _PLAIN else _QUOTED.format(text=_NO_FORMULA.format(text=text))


AS_CSV = _SITES.format(columns=" || ',' || ".join(f"coalesce({_cell(name)}, '')" for name in CELLS))
"""A row of CSV without its end; a text that a spreadsheet would take for a formula is marked, as `records` reads it."""

_AT_ONCE = 200
"""Rows, of up to 20 kB each."""


def export(conn: connection, sql: str) -> Generator[list[Key]]:
    """The rows of one of the statements above, a few at a time. In a transaction."""
    with conn.cursor("site_export", cursor_factory=cursor) as cur:
        cur.execute(sql)
        while rows := cur.fetchmany(_AT_ONCE):
            yield rows
