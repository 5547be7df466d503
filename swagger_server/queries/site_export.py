"""All of an owner's sites, by name, from a cursor of the server: a few at a time, of one moment."""

# ruff: noqa: S608 - the statements are put together from this module's constants; values are always bound.

from collections.abc import Iterator

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

# As the JSON has them, where that is no text: a list with an item on each line, times in ISO 8601.
AS_CELLS = _SITES.format(
    columns="""s.id::text, s.external_id, s.name, array_to_string(s.tags, E'\\n'),
        array_to_string(s.address_lines, E'\\n'), s.city_id::text, s.city_text, s.country_iso2,
        s.lat::text, s.lon::text, s.opening_hours, s.phone, s.url,
        CASE WHEN s.attributes <> '{}' THEN s.attributes::text END,
        to_json(s.created_at) #>> '{}', to_json(s.updated_at) #>> '{}'"""
)
CELLS = (
    "id",
    "external_id",
    "name",
    "tags",
    "address_lines",
    "city_id",
    "city",
    "country",
    "lat",
    "lon",
    "opening_hours",
    "phone",
    "url",
    "attributes",
    "created_at",
    "updated_at",
)
"""The names of what AS_CELLS gives, in its order."""

_AT_ONCE = 200
"""Rows, of up to 20 kB each."""


def export(conn: connection, sql: str) -> Iterator[list[Key]]:
    """The rows of one of the statements above, a few at a time. In a transaction."""
    with conn.cursor("site_export", cursor_factory=cursor) as cur:
        cur.execute(sql)
        while rows := cur.fetchmany(_AT_ONCE):
            yield rows
