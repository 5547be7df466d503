"""FastAPI with plain functions, which it runs on threads, on psycopg 3's pool. JSON comes from the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, HTTPException, Request, Response
from psycopg_pool import ConnectionPool

from benchmarks.peers import middleware, pages, parameters, problems, sql
from benchmarks.peers.database import POOL_SIZE, libpq_arguments
from swagger_server.search_key import search_key

JSON = "application/json"
pool = ConnectionPool(
    kwargs={**libpq_arguments(), "autocommit": True}, min_size=POOL_SIZE, max_size=POOL_SIZE, open=False
)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Open the pool, and have no more threads than it has connections."""
    current_default_thread_limiter().total_tokens = POOL_SIZE
    with pool:
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)
middleware.add_to(app)
problems.add_to(app)


@app.get("/v1/airports/{code}")
def airport(code: parameters.AirportCode) -> Response:
    """One airport."""
    return _one(sql.AIRPORT, {"code": code.upper()})


@app.get("/v1/cities/{id}")
def city(id: parameters.CityId) -> Response:
    """One city."""
    return _one(sql.CITY, {"id": id})


@app.get("/v1/cities")
def cities(
    request: Request,
    q: parameters.Q = None,
    country: parameters.Country = None,
    subdivision: parameters.Subdivision = None,
    min_population: parameters.MinPopulation = None,
    limit: parameters.Limit = 20,
    cursor: parameters.Cursor = None,
) -> Response:
    """A page of cities."""
    parameters.refuse_cursor(cursor)
    filters = parameters.filters(country, subdivision, min_population)
    steps = sql.list_cities(limit, filters) if q is None else sql.search_cities(search_key(q), limit, filters)
    with pool.connection() as connection:
        found = _run(connection, steps)
    items = "[" + ",".join(row[0] for row in found.rows) + "]"
    url = pages.next_url(f"{request.base_url}v1/cities", request.query_params.multi_items(), found.after)
    return Response(pages.page(items, url), headers=pages.link(url), media_type=JSON)


@app.post("/ledger/entries")
def create(entry: parameters.Entry) -> Response:
    """Write one entry; a single statement is a transaction of its own."""
    with pool.connection() as connection:
        rows = _fetch(connection, sql.INSERT, entry.model_dump())
    return Response(b'{"number":%d}' % rows[0][0], 201, media_type=JSON)


def _one(text: str, params: dict[str, Any]) -> Response:
    with pool.connection() as connection:
        rows = _fetch(connection, text, params)
    if not rows:
        raise HTTPException(404)
    return Response(rows[0][0].encode(), media_type=JSON)


def _run(connection: psycopg.Connection, steps: sql.Steps) -> sql.Found:
    try:
        query = next(steps)
        while True:
            query = steps.send(_fetch(connection, *query))
    except StopIteration as done:
        found: sql.Found = done.value
        return found


def _fetch(connection: psycopg.Connection, text: str, params: dict[str, Any]) -> list[Any]:
    settings, statement = sql.apart(text)
    if not settings:
        return connection.execute(statement.encode(), params).fetchall()
    with connection.transaction():
        connection.execute(";".join(settings).encode())
        return connection.execute(statement.encode(), params).fetchall()
