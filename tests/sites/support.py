"""Callers of the service that own sites, and the database behind it."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import requests

from swagger_server.key_store import create_key, new_key
from swagger_server.schema import migrate
from tests.support.servers import Database

PARIS, BERLIN, NEVER = 2988507, 2950159, 77
PLACES = f"""
INSERT INTO continent VALUES ('EU', 'Europe', 1);
INSERT INTO country (iso2, iso3, iso_numeric, name, search_key, continent_code, area_km2, population)
VALUES ('FR', 'FRA', 250, 'France', 'france', 'EU', 1, 1), ('DE', 'DEU', 276, 'Germany', 'germany', 'EU', 1, 1);
INSERT INTO timezone VALUES ('Europe/Paris', 'FR'), ('Europe/Berlin', 'DE');
INSERT INTO city (id, name, search_key, country_iso2, population, lat, lon, timezone_name, label) VALUES
    ({PARIS}, 'Paris', 'paris', 'FR', 2138551, 48.85341, 2.3488, 'Europe/Paris', 'Paris, France'),
    ({BERLIN}, 'Berlin', 'berlin', 'DE', 3426354, 52.52437, 13.41053, 'Europe/Berlin', 'Berlin, Germany');
"""

MERGE_PATCH = "application/merge-patch+json"


class Caller:
    """Somebody with a key: requests under /v1, and what they answer."""

    def __init__(self, url: str, key: str, owner: str) -> None:
        self.owner = owner
        self.key = key
        self.url = f"{url}/v1"
        self._session = requests.Session()
        self._session.headers["X-API-Key"] = key

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> requests.Response:
        """The answer, whatever its status."""
        url = path if path.startswith("http") else self.url + path
        return self._session.request(method, url, json=body, headers=headers, params=query, timeout=30)

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """The JSON of an answer, which must have that status."""
        return self._json(self.ask("GET", path, **query), status)

    def add(self, status: int = 201, headers: Mapping[str, str] | None = None, **site: Any) -> Any:
        """Add a site; its name is made up where none is given."""
        return self._json(self.ask("POST", "/sites", {"name": "Shop", **site}, headers), status)

    def patch(self, site: str, change: Any, status: int = 200, **headers: str) -> Any:
        """Change a site."""
        sent = {"Content-Type": MERGE_PATCH, **{name.replace("_", "-"): v for name, v in headers.items()}}
        return self._json(self.ask("PATCH", f"/sites/{site}", change, sent), status)

    def put(self, site: str, body: Any, status: int = 200, **headers: str) -> Any:
        """Replace a site."""
        sent = {name.replace("_", "-"): v for name, v in headers.items()}
        return self._json(self.ask("PUT", f"/sites/{site}", body, sent), status)

    def names(self, **query: Any) -> list[str]:
        """The names of all sites that a list has, page by page."""
        return [site["name"] for page in self.pages("/sites", **query) for site in page]

    def pages(self, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """The items of each page of a list, from link to link."""
        page = self.get(path, **query)
        yield page["items"]
        while page["next"]:
            page = self.get(page["next"])
            yield page["items"]

    def _json(self, answer: requests.Response, status: int) -> Any:
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        return answer.json() if answer.content else None


def fill(database: Database) -> None:
    """Give an empty database the schema and a few places."""
    with closing(database.connect()) as connection:
        migrate(connection)
    database.execute(PLACES)


def caller(database: Database, url: str, owner: str, scopes: str = "read write") -> Caller:
    """A caller with a new key of that owner."""
    key = new_key()
    with closing(database.connect()) as connection, connection:
        create_key(connection, key, owner, scopes.split())
    return Caller(url, key, owner)


def export_slowly(caller: Caller, buffer: int = 4096) -> socket.socket:
    """A client that asks for an export and does not read it."""
    host, port = caller.url.split("/")[2].split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(20)
    client.connect((host, int(port)))
    client.sendall(f"GET /v1/sites/export HTTP/1.1\r\nHost: x\r\nX-API-Key: {caller.key}\r\n\r\n".encode())
    return client
