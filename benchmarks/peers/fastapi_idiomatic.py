"""FastAPI on asyncpg as their documentation has it: a connection by Depends, rows into response models."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg  # type: ignore[import-untyped]
from fastapi import Depends, FastAPI, HTTPException, Request, Response

from benchmarks.peers import asyncpg_steps, middleware, models, pages, parameters, problems, sql
from benchmarks.peers.database import POOL_SIZE, asyncpg_arguments
from swagger_server.search_key import search_key


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a pool while the app runs."""
    sizes = {"min_size": POOL_SIZE, "max_size": POOL_SIZE}
    async with asyncpg.create_pool(**asyncpg_arguments(), **sizes, init=_decode_json) as pool:
        app.state.pool = pool
        yield


async def _decode_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def connection(request: Request) -> AsyncIterator[asyncpg.Connection]:
    """A connection for as long as the request takes."""
    async with request.app.state.pool.acquire() as conn:
        yield conn


Database = Annotated[asyncpg.Connection, Depends(connection)]

app = FastAPI(lifespan=lifespan)
middleware.add_to(app)
problems.add_to(app)


@app.get("/v1/airports/{code}", response_model=models.Airport)
async def airport(db: Database, code: parameters.AirportCode) -> Any:
    """One airport."""
    return _one(await asyncpg_steps.fetch(db, sql.as_columns(sql.AIRPORT), {"code": code.upper()}))


@app.get("/v1/cities/{id}", response_model=models.City)
async def city(db: Database, id: parameters.CityId) -> Any:
    """One city."""
    return _one(await asyncpg_steps.fetch(db, sql.as_columns(sql.CITY), {"id": id}))


@app.get("/v1/cities", response_model=models.CityPage)
async def cities(
    db: Database,
    request: Request,
    response: Response,
    q: parameters.Q = None,
    country: parameters.Country = None,
    subdivision: parameters.Subdivision = None,
    min_population: parameters.MinPopulation = None,
    limit: parameters.Limit = 20,
    cursor: parameters.Cursor = None,
) -> Any:
    """A page of cities."""
    parameters.refuse_cursor(cursor)
    filters = parameters.filters(country, subdivision, min_population)
    steps = sql.list_cities(limit, filters) if q is None else sql.search_cities(search_key(q), limit, filters)
    found = await asyncpg_steps.run(db, steps, as_columns=True)
    url = pages.next_url(f"{request.base_url}v1/cities", request.query_params.multi_items(), found.after)
    response.headers.update(pages.link(url))
    return {"items": [dict(row) for row in found.rows], "next": url}


@app.post("/ledger/entries", status_code=201, response_model=models.Created)
async def create(db: Database, entry: parameters.Entry) -> Any:
    """Write one entry in a transaction."""
    async with db.transaction():
        return _one(await asyncpg_steps.fetch(db, sql.INSERT, entry.model_dump()))


def _one(rows: asyncpg_steps.Rows) -> dict[str, Any]:
    if not rows:
        raise HTTPException(404)
    return dict(rows[0])
