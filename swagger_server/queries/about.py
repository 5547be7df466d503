"""Where the data comes from."""

from psycopg2.extensions import connection

from swagger_server.rows import fetch_text

SOURCES = """
SELECT coalesce(json_agg(row_to_json(s) ORDER BY s.name), '[]')::text
FROM (SELECT name, version, rows, licence, url, attribution, loaded_at FROM data_source) AS s"""


def list_sources(conn: connection) -> str:
    """All data sources as a JSON array."""
    return fetch_text(conn, SOURCES, {}) or "[]"
