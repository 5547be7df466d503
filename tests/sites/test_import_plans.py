"""What an import asks of the database grows with the import, whatever the planner thinks of the owner."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from psycopg2.extensions import connection

from swagger_server.queries import site_import
from swagger_server.queries.site_import import STAGED, StagedRow
from swagger_server.queries.sites import ROLE
from swagger_server.rows import Key
from tests.sites.support import NEVER
from tests.support.servers import Database

ROWS = 2_000


@pytest.fixture
def crowded(empty: Database) -> Iterator[Database]:
    """Many sites of somebody whom the planner knows, and some of bob's, of whom it has not heard."""
    add = f"""INSERT INTO site (owner, name, search_key, city_id)
        SELECT '{{}}', 'x' || n, 'x' || n, {NEVER} FROM generate_series(1, {{}}) AS n"""
    empty.execute("ALTER TABLE site SET (autovacuum_enabled = false)")
    empty.execute(add.format("other", 20 * ROWS))
    empty.execute("ANALYZE site")
    empty.execute(add.format("bob", ROWS))
    yield empty
    empty.execute("ALTER TABLE site RESET (autovacuum_enabled)")


def test_sites_by_their_ids_are_found_in_one_pass(crowded: Database, monkeypatch: pytest.MonkeyPatch):
    ids = [row[0] for row in crowded.execute("SELECT id::text FROM site WHERE owner = 'bob'")]
    nobodys = [re.sub("^.", "f" if each[0] != "f" else "0", each) for each in ids[: ROWS // 2]]
    seen: dict[str, int] = {}
    with closing(crowded.connect()) as conn:
        claim(conn, "bob")
        monkeypatch.setattr(site_import, "fetch", explaining(seen))
        site_import.begin_import(conn)
        site_import.stage(conn, staged(ids, nobodys), lambda: None)
        assert list(site_import.find_bad_rows(conn, 100)) == []
        assert site_import.write_sites(conn) == (len(nobodys), len(ids))
    assert len(seen) == 6
    assert max(seen.values()) < 10 * ROWS, seen


def claim(conn: connection, owner: str) -> None:
    with conn.cursor() as cur:
        cur.execute(f"SET LOCAL ROLE {ROLE}")
        cur.execute("SELECT set_config('request.owner', %s, true)", (owner,))


def staged(known: list[str], new: list[str]) -> Iterator[StagedRow]:
    for line, each in enumerate([*known, *new], 1):
        said = {"line": str(line), "id": each, "name": "new", "search_key": "new"}
        said |= {"tags": "{}", "address_lines": "{}", "attributes": "{}"}
        if line <= len(known):
            said["city_id"] = str(NEVER)
        yield tuple(said.get(name) for name in STAGED)


def explaining(seen: dict[str, int]) -> Any:
    """`fetch` that notes, for each statement that has a plan, the most rows that a step of it looked at."""

    def fetch(conn: connection, sql: str, params: Mapping[str, Any]) -> list[Key]:
        with conn.cursor() as cur:
            if "site_import" in sql:
                cur.execute("SAVEPOINT explained")
                cur.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                ((((plan,),),)) = cur.fetchall()
                seen[sql] = max(rows_of(step) for step in steps(plan["Plan"]))
                cur.execute("ROLLBACK TO explained")
            cur.execute(sql, params)
            return cur.fetchall() if cur.description else []

    return fetch


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from steps(inner)


def rows_of(step: dict[str, Any]) -> int:
    removed = sum(value for name, value in step.items() if name.startswith("Rows Removed"))
    return round((step["Actual Rows"] + removed) * step["Actual Loops"])
