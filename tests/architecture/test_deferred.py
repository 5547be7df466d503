"""A service starts without the modules that it next to never needs, and has them once they are called for."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

START = "import sys, swagger_server.startup, swagger_server.site\n"


def outcome_of(program: str, before: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-c", before + START + program],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()


def test_a_service_starts_without_what_it_does_not_need():
    left = "{'starlette.testclient', 'httpx', 'requests', 'limits.aio'}"
    assert outcome_of(f"print({left} & set(sys.modules))") == "set()"


def test_what_was_left_is_there_once_it_is_used():
    program = """
import connexion, limits, pkgutil
from connexion import json_schema, security

assert type(connexion.FlaskApp("any").test_client()).__module__ == "starlette.testclient"
import httpx, requests
assert security.httpx.AsyncClient is httpx.AsyncClient
assert json_schema.requests.get is requests.get
from limits.aio.storage import MemoryStorage
assert limits.aio.storage.MemoryStorage is MemoryStorage
assert pkgutil.get_data("connexion", "resources/schemas/v3.0/schema.json")
print("fine")
"""
    assert outcome_of(program) == "fine"


def test_who_has_imported_one_before_keeps_it():
    program = "from connexion import json_schema\nprint(json_schema.requests is requests)"
    assert outcome_of(program, before="import requests\n") == "True"
