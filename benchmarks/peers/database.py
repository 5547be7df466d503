"""How the peers reach PostgreSQL: where ours does, with the same bound on a statement."""

import os
from typing import Any

POOL_SIZE = int(os.environ.get("PEER_POOL_SIZE", "20"))
"""Connections, and threads where there are any, of each worker."""

STATEMENT_TIMEOUT_MS = 5000

PLANS = "force_generic_plan"
"""plan_cache_mode: what is prepared is planned once, as our service has it for the statements to which it matters."""


def libpq_arguments() -> dict[str, Any]:
    """For psycopg2.connect and psycopg.connect."""
    env = os.environ
    return {
        "host": env["POSTGRES_URL"],
        "port": int(env["POSTGRES_PORT"]),
        "user": env["POSTGRES_USER"],
        "dbname": env["POSTGRES_DB"],
        "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c plan_cache_mode={PLANS}",
    }


def asyncpg_arguments() -> dict[str, Any]:
    """For asyncpg.create_pool."""
    arguments = libpq_arguments()
    del arguments["options"]
    arguments["database"] = arguments.pop("dbname")
    settings = {"statement_timeout": str(STATEMENT_TIMEOUT_MS), "plan_cache_mode": PLANS}
    return {**arguments, "server_settings": settings}
