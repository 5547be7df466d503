"""Our service's statements for drivers that it does not use: the SQL is ours, only its placeholders change.

What takes several statements is written as a generator that yields them and is sent their rows, so that one
text serves drivers that wait and drivers that await.
"""

import re
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from swagger_server.queries import airports, cities
from swagger_server.rows import narrowed

AIRPORT = airports.AIRPORT
CITY = cities.CITY
INSERT = "INSERT INTO entry (name, amount) VALUES (%(name)s, %(amount)s) RETURNING number"

Query = tuple[str, dict[str, Any]]
Row = Sequence[Any]
Filters = dict[str, Any]


class Found(NamedTuple):
    """A page's rows, and the key of the last one if there are more."""

    rows: list[Row]
    after: tuple[Any, ...] | None


Steps = Generator[Query, list[Row], Found]

_PARAMETER = re.compile(r"%\((\w+)\)s|%%")
_ARRAYS = ("heads", "tails")
_KEY = 3
"""A row of the search ends with its key: rank, size or score, and id."""


class Numbered(NamedTuple):
    """A statement as asyncpg takes it: `$1` stands for the first of `names`. `settings` go before it."""

    settings: tuple[str, ...]
    sql: str
    names: tuple[str, ...]


@lru_cache(maxsize=1000)
def numbered(sql: str) -> Numbered:
    """`sql` with numbers instead of names."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
        # An array in unnest() says nothing of its type.
        return f"${names.index(name) + 1}{'::text[]' if name in _ARRAYS else ''}"

    settings, statement = apart(sql)
    return Numbered(settings, _PARAMETER.sub(number, statement), tuple(names))


@lru_cache(maxsize=1000)
def apart(sql: str) -> tuple[tuple[str, ...], str]:
    """The `SET LOCAL` statements before a statement, and that: most drivers send one at a time.

    Without the one that is the peers' sessions' own (`database.PLANS`).
    """
    *settings, statement = sql.removeprefix(cities._PLANNED_ONCE).split(";")
    return tuple(settings), statement


@lru_cache(maxsize=1000)
def as_columns(sql: str) -> str:
    """The statement with the item's columns in place of its JSON."""
    return sql.replace("row_to_json(item)::text", "item.*")


def list_cities(limit: int, filters: Filters) -> Steps:
    """The first page of the cities that pass the filters, the largest first."""
    sql = cities.CITIES.format(columns=cities._HIT, filters=narrowed(cities._FILTERS, filters))
    rows = yield sql, {**filters, "fetch": limit + 1}
    return Found(rows[:limit], tuple(rows[limit - 1][-2:]) if len(rows) > limit else None)


def search_cities(q: str, limit: int, filters: Filters) -> Steps:
    """The first page of the cities that fit the search key `q`, as queries.cities.search_cities."""
    size = max(limit + 1, cities._FEW)
    rows: list[Row] = []
    for stage in cities._stages(q, None):
        if len(rows) < size:
            rows += yield _stage(stage.sql, q, size - len(rows), filters)
    near = cities._want_near_misses(q, [(None, row[-_KEY]) for row in rows])
    for stage in cities._NEAR_MISSES if near else ():
        if len(rows) < limit + 1:
            rows += yield _stage(stage.sql, q, limit + 1 - len(rows), filters)
    return Found(rows[:limit], (*rows[limit - 1][-_KEY:], near) if len(rows) > limit else None)


def _stage(sql: str, q: str, size: int, filters: Filters) -> Query:
    return cities._statement(sql, q, None, filters), {**cities._typed(q), "fetch": size, **filters}
