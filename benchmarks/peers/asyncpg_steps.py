"""Running our service's statements on asyncpg, for both peers that use it."""

from typing import Any

import asyncpg  # type: ignore[import-untyped]

from benchmarks.peers import sql

Rows = list[asyncpg.Record]


async def fetch(source: Any, text: str, params: dict[str, Any]) -> Rows:
    """All rows of one statement, from a pool or a connection."""
    statement = sql.numbered(text)
    return list(await source.fetch(statement.sql, *(params[name] for name in statement.names)))


async def run(connection: asyncpg.Connection, steps: sql.Steps, *, as_columns: bool = False) -> sql.Found:
    """Run the statements one after the other, each if those before it leave room."""
    try:
        text, params = next(steps)
        while True:
            text = sql.as_columns(text) if as_columns else text
            text, params = steps.send(await _fetch_with_settings(connection, text, params))
    except StopIteration as done:
        found: sql.Found = done.value
        return found


async def _fetch_with_settings(connection: asyncpg.Connection, text: str, params: dict[str, Any]) -> Rows:
    settings, _ = sql.apart(text)
    if not settings:
        return await fetch(connection, text, params)
    async with connection.transaction():
        await connection.execute(";".join(settings))
        return await fetch(connection, text, params)
