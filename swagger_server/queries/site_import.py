"""Sites by the hundred thousand: a table for one import's rows, what only the database can say of them, and the upsert.

All of it happens in the transaction of the request, as whoever it acts as (`sites.ROLE`); the table goes with it.
"""

# ruff: noqa: S608 - the statements are put together from this module's constants; values are always bound.

import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import connection, cursor, get_wait_callback
from psycopg2.extras import execute_values

from swagger_server.queries.sites import COLUMNS, FILLED, GIVEN, OWN
from swagger_server.records import BadRow
from swagger_server.rows import fetch

StagedRow = tuple[str | None, ...]
"""The texts of STAGED's columns, lists as array literals."""

STAGED = {"line": "integer", "id": "uuid", **GIVEN}
"""The columns of a row that is to be imported, and their types."""

_TABLE = f"""
CREATE TEMPORARY TABLE site_import ({", ".join(f"{name} {kind}" for name, kind in STAGED.items())}) ON COMMIT DROP"""

_PATIENCE = "SELECT set_config('statement_timeout', %(milliseconds)s, true)"

_NULL = "\x01"
_COPY = f"COPY site_import ({', '.join(STAGED)}) FROM STDIN (NULL E'\\x01')"
_INSERT = f"INSERT INTO site_import ({', '.join(STAGED)}) VALUES %s"

_TWICE = """
SELECT i.line, twice.line FROM site_import i JOIN (
    SELECT {name}, min(line) AS line FROM site_import WHERE {condition} GROUP BY {name} HAVING count(*) > 1
) AS twice USING ({name})
WHERE {condition} AND i.line <> twice.line
ORDER BY i.line LIMIT %(most)s"""
_EXTERNAL_ID_TWICE = _TWICE.format(name="external_id", condition="external_id IS NOT NULL")
_ID_TWICE = _TWICE.format(name="id", condition="id IS NOT NULL AND external_id IS NULL")

# As where one site is replaced: one that is in such a city already may stay there. Without an external_id a row is
# a site that is there already if it has the id of one. The two are asked apart, so that each has its index.
_UNKNOWN_CITY = f"""
SELECT i.line, i.city_id FROM site_import i
WHERE i.city_id IS NOT NULL AND NOT EXISTS (SELECT FROM city WHERE id = i.city_id)
    AND CASE WHEN i.external_id IS NOT NULL
        THEN NOT EXISTS (
            SELECT FROM site s WHERE {OWN} AND s.external_id = i.external_id AND s.city_id = i.city_id)
        ELSE NOT EXISTS (SELECT FROM site s WHERE {OWN} AND s.id = i.id AND s.city_id = i.city_id) END
ORDER BY i.line LIMIT %(most)s"""

# Numbers such as 1e300 are written out.
_LARGE = """
SELECT line FROM site_import WHERE octet_length(attributes::text) > 32768 ORDER BY line LIMIT %(most)s"""

_NAMES = [name.strip() for name in COLUMNS.split(",")]
_CITYS_COUNTRY = (
    """(s.country_is_citys AND s.city_id = n.city_id AND coalesce(n.country_iso2 = s.country_iso2, true))"""
)
_CITYS_POSITION = """(s.position_is_citys AND s.city_id = n.city_id
    AND coalesce((n.lat, n.lon) = (s.lat, s.lon), n.lat IS NULL))"""
_NEW = {
    **{name: f"n.{name}" for name in _NAMES},
    # What was the city's and is the same is the city's still; and a city that is gone has left it.
    "country_iso2": """coalesce(
        n.country_iso2, CASE WHEN s.country_is_citys AND s.city_id = n.city_id THEN s.country_iso2 END)""",
    "country_is_citys": f"(n.country_is_citys OR {_CITYS_COUNTRY})",
    "lat": "coalesce(n.lat, CASE WHEN s.position_is_citys AND s.city_id = n.city_id THEN s.lat END)",
    "lon": "coalesce(n.lon, CASE WHEN s.position_is_citys AND s.city_id = n.city_id THEN s.lon END)",
    "position_is_citys": f"(n.position_is_citys OR {_CITYS_POSITION})",
}
_KNOWN = ", ".join(f"s.{name}" for name in _NAMES)
_COUNTS = "SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created) FROM done"


def _change(new: str) -> tuple[str, str]:
    """What is set, and whether there is anything to set, where the new values are those of the row `new`."""
    values = ", ".join(re.sub(r"\bn\.", f"{new}.", _NEW[name]) for name in _NAMES)
    setting = f"(version, updated_at, {COLUMNS}) = ROW(s.version + 1, now(), {values})"
    return setting, f"({_KNOWN}) IS DISTINCT FROM ({values})"


_SET, _DIFFERS = _change("n")
_SET_EXCLUDED, _DIFFERS_EXCLUDED = _change("excluded")

_FILLED = f"SELECT i.id AS number, {FILLED} FROM site_import i LEFT JOIN city c ON c.id = i.city_id"

# Of an owner who is new to it the planner expects a site or two, and would go through all rows for each of them.
_WITHOUT_LOOPS = "SET LOCAL enable_nestloop = off"
_AS_USUAL = "SET LOCAL enable_nestloop TO DEFAULT"

UPDATED_BY_ID = f"""
WITH done AS (
    UPDATE site AS s SET {_SET}
    FROM ({_FILLED} WHERE i.external_id IS NULL AND i.id IS NOT NULL) AS n (number, {COLUMNS})
    WHERE {OWN} AND s.id = n.number AND {_DIFFERS}
    RETURNING false AS created)
{_COUNTS}"""

# In the order of their ids, so that two imports at once wait for each other and not in a circle.
WRITTEN = f"""
WITH done AS (
    INSERT INTO site AS s (owner, {COLUMNS})
    SELECT current_setting('request.owner'), {FILLED}
    FROM site_import i LEFT JOIN city c ON c.id = i.city_id
    WHERE i.external_id IS NOT NULL OR i.id IS NULL OR NOT EXISTS (SELECT FROM site s WHERE {OWN} AND s.id = i.id)
    ORDER BY i.external_id
    ON CONFLICT (owner, external_id) DO UPDATE SET {_SET_EXCLUDED} WHERE {_DIFFERS_EXCLUDED}
    RETURNING s.xmax = 0 AS created)
{_COUNTS}"""


class Imported(NamedTuple):
    """What has become of the rows: sites that are new, sites that are others now; the rest were as they are."""

    created: int
    updated: int


def be_patient(conn: connection, seconds: float | None) -> None:
    """A statement of the transaction may take `seconds` from here on; None: any time."""
    milliseconds = 0 if seconds is None else max(1, round(seconds * 1000))
    fetch(conn, _PATIENCE, {"milliseconds": str(milliseconds)})


def begin_import(conn: connection) -> None:
    """Make the table for the rows."""
    with conn.cursor() as cur:
        cur.execute(_TABLE)


def stage(conn: connection, rows: Iterable[StagedRow], pause: Callable[[], None]) -> None:
    """Put the rows into the table, as they come. Calls `pause` now and then, for others to go on."""
    with conn.cursor() as cur:
        if get_wait_callback() is None:
            _copy(cur, _CopySource(rows, pause))
            return
        # Under gevent, say, psycopg2 has no COPY.
        remaining = iter(rows)
        while batch := list(islice(remaining, _BATCH)):
            execute_values(cur, _INSERT, batch, page_size=_BATCH)
            pause()


_BATCH = 200
_COPY_PIECE = 65_536


def _copy(cur: cursor, source: "_CopySource") -> None:
    try:
        cur.copy_expert(_COPY, source, _COPY_PIECE)
    except psycopg2.Error:
        if source.error is not None:
            raise source.error from None  # psycopg2 makes the server's error of it
        raise


class _CopySource(io.RawIOBase):
    """The rows as a file in the text format of COPY."""

    def __init__(self, rows: Iterable[StagedRow], pause: Callable[[], None]) -> None:
        super().__init__()
        self._lines = map(_copy_line, rows)
        self._pause = pause
        self.error: Exception | None = None
        """What the making of a row has raised."""

    def read(self, size: int = -1, /) -> bytes:  # noqa: ARG002 - a few bytes more do not matter
        """Some whole lines; none at the end."""
        try:
            piece = "".join(islice(self._lines, _BATCH)).encode()
            self._pause()
        except Exception as exc:
            self.error = exc
            raise
        return piece


_ESCAPES = {
    ord("\\"): "\\\\",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord(_NULL): "\\x01",
}


def _copy_line(row: StagedRow) -> str:
    return "\t".join([_NULL if text is None else _escaped(text) for text in row]) + "\n"


def _escaped(text: str) -> str:
    return text if "\\" not in text and text.isprintable() else text.translate(_ESCAPES)


def array_literal(texts: Iterable[str]) -> str:
    """The texts as PostgreSQL writes an array of them."""
    quoted = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return "{" + ",".join(quoted) + "}"


def find_bad_rows(conn: connection, most: int) -> Iterator[BadRow]:
    """What is wrong with the rows that only the database can tell; of each kind at most so many."""
    limit = {"most": most}
    for line, first in fetch(conn, _EXTERNAL_ID_TWICE, limit):
        yield BadRow(line, "external_id", f"is that of line {first}, too")
    for line, first in fetch(conn, _ID_TWICE, limit):
        yield BadRow(line, "id", f"is that of line {first}, too")
    for line, city in fetch(conn, _UNKNOWN_CITY, limit):
        yield BadRow(line, "city_id", f"is {city}: no city has this id")
    for (line,) in fetch(conn, _LARGE, limit):
        yield BadRow(line, "attributes", "is too large once its numbers are written out")


def write_sites(conn: connection) -> Imported:
    """Make the caller's sites what the rows say: those with an external_id, or an id, that is there, and new ones."""
    with conn.cursor() as cur:
        cur.execute(_WITHOUT_LOOPS)
        by_id = fetch(conn, UPDATED_BY_ID, {})
        cur.execute(_AS_USUAL)
    counts = [*by_id, *fetch(conn, WRITTEN, {})]
    created, updated = (sum(column) for column in zip(*counts, strict=True))
    return Imported(created, updated)
