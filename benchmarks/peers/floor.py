"""The floor: a bare ASGI callable with one hop to a thread and psycopg2. No framework, no checks, no CORS.

What remains is what any service on this server, this driver and these threads has to pay.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

import psycopg2
from psycopg2.extensions import connection

from benchmarks.peers import pages
from benchmarks.peers.database import POOL_SIZE, libpq_arguments
from swagger_server.queries.airports import find_airport
from swagger_server.queries.cities import find_city, list_cities, search_cities
from swagger_server.search_key import search_key

INSERT = "INSERT INTO entry (name, amount) VALUES (%s, %s) RETURNING number"
HEADERS = [(b"content-type", b"application/json")]

_threads = ThreadPoolExecutor(POOL_SIZE)
_of_thread = threading.local()


def _connection() -> connection:
    """This thread's own."""
    conn: connection | None = getattr(_of_thread, "connection", None)
    if conn is None:
        conn = _of_thread.connection = psycopg2.connect(**libpq_arguments())
        conn.autocommit = True
    return conn


def _airport(key: str, _query: str, _body: bytes) -> bytes:
    return (find_airport(_connection(), key.upper()) or "null").encode()


def _city(key: str, _query: str, _body: bytes) -> bytes:
    return (find_city(_connection(), int(key)) or "null").encode()


def _cities(_key: str, query: str, _body: bytes) -> bytes:
    arguments = dict(parse_qsl(query))
    limit, q = int(arguments.get("limit", 20)), arguments.get("q")
    if q is None:
        page = list_cities(_connection(), limit, None, arguments.get("country"), hits=True)
    else:
        page = search_cities(_connection(), search_key(q), limit, None)
    return pages.page(page.items, pages.next_url("/v1/cities", arguments.items(), page.after))


def _create(_key: str, _query: str, body: bytes) -> bytes:
    entry = json.loads(body)
    with _connection().cursor() as cur:
        cur.execute(INSERT, (entry["name"], entry["amount"]))
        return b'{"number":%d}' % cur.fetchone()[0]  # type: ignore[index]


Answer = Callable[[str, str, bytes], bytes]
_LISTS: dict[str, Answer] = {"/v1/cities": _cities, "/ledger/entries": _create}
_ITEMS: dict[str, Answer] = {"/v1/airports": _airport, "/v1/cities": _city}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    body = (await receive())["body"] if scope["method"] == "POST" else b""
    path = scope["path"]
    collection, _, key = path.rpartition("/")
    answer = _LISTS.get(path) or _ITEMS[collection]
    query = scope["query_string"].decode()
    content = await asyncio.get_running_loop().run_in_executor(_threads, answer, key, query, body)
    headers = [*HEADERS, (b"content-length", b"%d" % len(content))]
    status = 201 if scope["method"] == "POST" else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
    return None


async def _lifespan(receive: Any, send: Any) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
