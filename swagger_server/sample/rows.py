"""The rows of every table, from the files and from a set of cities, in the text form that COPY reads.

Owns which column gets what. Knows the tables' shape, but runs no SQL.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import NamedTuple

from swagger_server.sample.cities import City, distinct_names, label
from swagger_server.sample.files import read_rows
from swagger_server.search_key import search_key

Row = Sequence[object]


class Table(NamedTuple):
    """A table that is loaded.

    `given` are the columns of its rows besides the key, `later` those that refer to a table further down, and
    `found` those that the database works out.
    """

    name: str
    key: tuple[str, ...]
    given: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def copied(self) -> tuple[str, ...]:
        """The columns of the rows, in their order."""
        return self.key + self.given + self.later

    @property
    def rest(self) -> tuple[str, ...]:
        """The columns besides the key that are filled in the table's turn."""
        return self.given + self.found

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are filled in the table's turn."""
        return self.key + self.rest


# A table stands after those that it refers to.
TABLES = (
    Table("continent", ("code",), ("name", "geonameid")),
    Table("currency", ("code",), ("name",)),
    Table("language", ("code",), ("name",)),
    Table(
        "country",
        ("iso2",),
        (
            "iso3",
            "iso_numeric",
            "name",
            "continent_code",
            "area_km2",
            "population",
            "currency_code",
            "dialling_code",
            "tld",
            "postal_code_regex",
            "search_key",
        ),
        later=("capital_city_id",),
    ),
    Table("country_language", ("country_iso2", "language_tag"), ("language_code", "position")),
    Table("country_neighbour", ("country_iso2", "neighbour_iso2")),
    Table("subdivision", ("code",), ("country_iso2", "name", "search_key")),
    Table("timezone", ("name",), ("country_iso2",)),
    Table(
        "city",
        ("id",),
        (
            "name",
            "search_key",
            "country_iso2",
            "subdivision_code",
            "population",
            "lat",
            "lon",
            "timezone_name",
            "label",
        ),
    ),
    Table("city_name", ("city_id", "search_key"), ("name", "kind")),
    Table(
        "airport",
        ("icao",),
        (
            "iata",
            "name",
            "city_text",
            "subdivision_text",
            "country_iso2",
            "elevation_m",
            "lat",
            "lon",
            "timezone_name",
            "search_key",
            "city_search_key",
        ),
        found=("city_id", "city_distance_km"),
    ),
    Table("data_source", ("name",), ("version", "rows", "licence", "url", "attribution")),
)


# Time zone -> how many of its places each country has.
Zones = dict[str, Counter[str]]


class Buffer(StringIO):
    """Rows as COPY reads them. An empty field is NULL; none has a tab or a line break in it."""

    count = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        lines = ["\t".join(map(str, row)) for row in rows]
        self.count += len(lines)
        self.write("\n".join([*lines, ""]).replace("\\", "\\\\"))


def read_all(cities: Iterable[City]) -> dict[str, Buffer]:
    """The rows of every table, by its name."""
    buffers = {table.name: Buffer() for table in TABLES}
    city_zones = _add_cities(buffers, cities)
    airport_zones = _add_airports(buffers["airport"])
    for name, rows in _small_tables().items():
        buffers[name].add(rows)
    # Some zones have airports only.
    zones = airport_zones | city_zones
    buffers["timezone"].add((zone, countries.most_common(1)[0][0]) for zone, countries in zones.items())
    buffers["data_source"].add(_sources(buffers))
    return buffers


def _add_cities(buffers: dict[str, Buffer], cities: Iterable[City]) -> Zones:
    subdivisions = dict(read_rows("subdivisions"))
    countries = {row[0]: row[3] for row in read_rows("countries")}
    zones: Zones = defaultdict(Counter)
    for city in cities:
        names = distinct_names(city)
        subdivision = subdivisions.get(city.subdivision)
        shown = label(city, names, subdivision, countries[city.country])
        buffers["city"].add([_city_row(city, names[0].key, city.subdivision if subdivision else "", shown)])
        buffers["city_name"].add((city.id, name.key, name.name, name.kind) for name in names)
        zones[city.timezone][city.country] += 1
    return zones


def _city_row(city: City, key: str, subdivision: str, shown: str) -> Row:
    place = (city.population, city.lat, city.lon, city.timezone)
    return (city.id, city.name, key, city.country, subdivision, *place, shown)


def _add_airports(buffer: Buffer) -> Zones:
    rows = list(read_rows("airports"))
    buffer.add([*row, search_key(row[2]), search_key(row[3])] for row in rows)
    zones: Zones = defaultdict(Counter)
    for row in rows:
        zones[row[9]][row[5]] += 1
    return zones


def _small_tables() -> dict[str, Iterable[Row]]:
    return {
        "continent": read_rows("continents"),
        "currency": read_rows("currencies"),
        "language": read_rows("languages"),
        "country": ([*row, search_key(row[3]), capital] for *row, capital in read_rows("countries")),
        "country_language": read_rows("country_languages"),
        "country_neighbour": read_rows("country_neighbours"),
        "subdivision": ([code, code[:2], name, search_key(name)] for code, name in read_rows("subdivisions")),
    }


def _sources(buffers: dict[str, Buffer]) -> Iterator[Row]:
    """The table that a source is named after says how many rows came from it."""
    tables = {"cities": "city", "countries": "country", "subdivisions": "subdivision"}
    tables |= {"airports": "airport", "languages": "language"}
    for name, version, *terms in read_rows("sources"):
        yield (name, version, buffers[tables[name]].count, *terms)
