"""FastAPI on asyncpg, tuned: JSON comes from the database and travels as bytes, and no model is built.

asyncpg prepares and keeps its statements by itself. This app changes no session, so that the query that resets a
connection before it goes back to the pool is left out.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]
from fastapi import FastAPI, HTTPException, Request, Response

from benchmarks.peers import asyncpg_steps, middleware, pages, parameters, problems, sql
from benchmarks.peers.database import POOL_SIZE, asyncpg_arguments
from swagger_server.search_key import search_key

JSON = "application/json"


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection whose session nobody changes."""

    def get_reset_query(self) -> str:
        """Nothing to reset."""
        return ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a pool while the app runs."""
    sizes = {"min_size": POOL_SIZE, "max_size": POOL_SIZE}
    async with asyncpg.create_pool(**asyncpg_arguments(), **sizes, connection_class=Connection) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)
middleware.add_to(app)
problems.add_to(app)


@app.get("/v1/airports/{code}")
async def airport(request: Request, code: parameters.AirportCode) -> Response:
    """One airport."""
    return _one(await asyncpg_steps.fetch(request.app.state.pool, sql.AIRPORT, {"code": code.upper()}))


@app.get("/v1/cities/{id}")
async def city(request: Request, id: parameters.CityId) -> Response:
    """One city."""
    return _one(await asyncpg_steps.fetch(request.app.state.pool, sql.CITY, {"id": id}))


@app.get("/v1/cities")
async def cities(
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
    async with request.app.state.pool.acquire() as connection:
        found = await asyncpg_steps.run(connection, steps)
    items = "[" + ",".join(row[0] for row in found.rows) + "]"
    url = pages.next_url(f"{request.base_url}v1/cities", request.query_params.multi_items(), found.after)
    return Response(pages.page(items, url), headers=pages.link(url), media_type=JSON)


@app.post("/ledger/entries")
async def create(request: Request, entry: parameters.Entry) -> Response:
    """Write one entry; a single statement is a transaction of its own."""
    rows = await asyncpg_steps.fetch(request.app.state.pool, sql.INSERT, entry.model_dump())
    return Response(b'{"number":%d}' % rows[0][0], 201, media_type=JSON)


def _one(rows: asyncpg_steps.Rows) -> Response:
    if not rows:
        raise HTTPException(404)
    return Response(rows[0][0].encode(), media_type=JSON)
