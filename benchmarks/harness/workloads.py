"""What is asked: each workload is a list of different requests, sent in turn.

Made from the data, in the same way every time, so that all runs and all services get the same ones.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from benchmarks.harness.database import Server

PREFIXES = 200


@dataclass(frozen=True)
class Request:
    """One request to the API."""

    path: str
    method: str = "GET"
    body: str = ""


@dataclass(frozen=True)
class Workload:
    """Requests that are all answered with `status`, by the service's part `part`."""

    name: str
    title: str
    requests: tuple[Request, ...]
    status: int = 200
    part: str = "places"


def all_workloads(server: Server) -> dict[str, Workload]:
    """By name, in the order of the report."""
    makers = (_lookup, _autocomplete, _list, _detail, _refused, _write)
    return {workload.name: workload for workload in (make(server) for make in makers)}


NAMES = ("lookup", "autocomplete", "list", "detail", "refused", "write")


def _lookup(server: Server) -> Workload:
    codes = server.rows(
        "SELECT iata FROM airport JOIN city ON city.id = city_id WHERE iata IS NOT NULL "
        "ORDER BY population DESC, icao LIMIT 100"
    )
    return Workload(
        "lookup", "Point lookup: /v1/airports/{iata}", _paths(codes, lambda code: f"/v1/airports/{code}")
    )


def _autocomplete(server: Server) -> Workload:
    """What somebody has typed after one to four letters, while ten cities or more still begin with it.

    Nothing rarer: where little is found PostgreSQL spends milliseconds on near misses, and all services are alike.
    """
    prefixes = server.rows(
        f"""
        SELECT prefix FROM (
            SELECT rtrim(left(search_key, 1 + (place % 4)::integer)) AS prefix, min(place) AS place
            FROM (SELECT search_key, row_number() OVER (ORDER BY population DESC, id) AS place FROM city) AS c
            GROUP BY 1
        ) AS typed
        WHERE (SELECT count(*) FROM city WHERE search_key ^@ prefix) >= 10
        ORDER BY place LIMIT {PREFIXES}"""
    )
    requests = _paths(prefixes, lambda prefix: f"/v1/cities?{urlencode({'q': prefix, 'limit': 10})}")
    return Workload("autocomplete", f"Autocomplete: /v1/cities?q=, {PREFIXES} prefixes", requests)


def _list(server: Server) -> Workload:
    countries = server.rows(
        "SELECT country_iso2 FROM city GROUP BY 1 HAVING count(*) > 100 ORDER BY count(*) DESC, 1 LIMIT 20"
    )
    requests = _paths(countries, lambda code: f"/v1/cities?country={code}&limit=50")
    return Workload("list", "List of 50: /v1/cities?country=&limit=50", requests)


def _detail(server: Server) -> Workload:
    cities = server.rows(
        "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY population DESC, id) AS place FROM city) AS c "
        "WHERE place % 100 = 0 AND place <= 5000 ORDER BY place"
    )
    requests = _paths(cities, lambda number: f"/v1/cities/{number}")
    return Workload("detail", "Detail with joins: /v1/cities/{id}", requests)


def _refused(_server: Server) -> Workload:
    requests = tuple(Request(f"/v1/cities?q=paris&limit={limit}") for limit in range(101, 121))
    return Workload("refused", "A 400: /v1/cities?q=paris&limit=101", requests, status=400)


def _write(_server: Server) -> Workload:
    bodies = (json.dumps({"name": f"entry {number}", "amount": number + 0.5}) for number in range(100))
    requests = tuple(Request("/ledger/entries", "POST", body) for body in bodies)
    return Workload("write", "Write: POST /ledger/entries", requests, status=201, part="ledger")


def _paths(rows: list[tuple[object, ...]], path: Callable[[object], str]) -> tuple[Request, ...]:
    return tuple(Request(path(row[0])) for row in rows)
