"""Running a statement, and cutting its rows into a page."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg2.extensions import connection, cursor

Key = tuple[Any, ...]
"""Where a row stands in its list: the values that the list is sorted by, unique as a whole."""


class Page(NamedTuple):
    """Some items of a list as a JSON array, and the key of the last one if there are more."""

    items: str
    after: Key | None

    @property
    def is_empty(self) -> bool:
        """Whether it has no item."""
        return self.items == "[]"


NOTHING = Page("[]", None)
"""The page of a list without items."""


def fetch(conn: connection, sql: str, params: Mapping[str, Any]) -> list[Key]:
    """All rows, as tuples whatever kind of rows the connection gives otherwise."""
    with conn.cursor(cursor_factory=cursor) as cur:
        cur.execute(sql, params)
        return cur.fetchall()


def fetch_text(conn: connection, sql: str, params: Mapping[str, Any]) -> str | None:
    """The only column of the only row, None where there is no row."""
    rows = fetch(conn, sql, params)
    return str(rows[0][0]) if rows else None


def fetch_page(conn: connection, sql: str, params: Mapping[str, Any], limit: int) -> Page:
    """A page of at most `limit` items of a statement that ends with `LIMIT %(fetch)s`."""
    return cut(fetch(conn, sql, {**params, "fetch": limit + 1}), limit)


def cut(rows: Sequence[Key], limit: int) -> Page:
    """A page of rows whose first column is the item's JSON and whose others are its key.

    One row more than `limit` tells that there is another page.
    """
    items = "[" + ",".join(row[0] for row in rows[:limit]) + "]"
    return Page(items, rows[limit - 1][1:] if len(rows) > limit else None)


def narrowed(conditions: Mapping[str, str], wanted: Mapping[str, Any]) -> str:
    """The conditions of those filters that are set, to follow a WHERE clause: fewer make a better plan."""
    return "".join(f" AND {conditions[name]}" for name, value in wanted.items() if value is not None)
