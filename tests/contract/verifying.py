"""The tools that others wrote, let loose on a running service: for the tests, and for scripts/verify.py."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from swagger_server.key_store import create_key, new_key
from tests.contract.hooks import OWN_KEYS
from tests.support.process import CHECKOUT
from tests.support.servers import Database

SPEC = CHECKOUT / "swagger_server" / "swagger" / "swagger.yaml"
NODE_PROGRAMS = CHECKOUT / "node_modules" / ".bin"
OWNERS = ("ada", "bob")
SPARE_KEYS = 50
"""Keys of each owner that may be revoked."""
UNLIMITED = {
    "LIMITS_READS_PER_ADDRESS": "0",
    "LIMITS_WRITES_PER_ADDRESS": "0",
    "LIMITS_READS_PER_KEY": "0",
    "LIMITS_WRITES_PER_KEY": "0",
    "LIMITS_FAILED_AUTHENTICATIONS": "0",
}
"""Settings of a service that is asked many things in a short time, with wrong keys too."""

SITES = 20
"""Sites that each owner has at the start."""


class Callers:
    """Two owners, each with a key in use, keys to be revoked, and sites; schemathesis learns of them from a file."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.keys = {owner: new_key() for owner in OWNERS}
        with closing(database.connect()) as conn, conn:
            ids = [create_key(conn, key, owner, ["admin"], "in use") for owner, key in self.keys.items()]
            for number in range(SPARE_KEYS):
                for owner in OWNERS:
                    create_key(conn, new_key(), owner, ["read", "write"], f"spare {number}")
        users = [
            {"name": owner, "fixedHeaders": [{"name": "X-API-Key", "value": key}]}
            for owner, key in self.keys.items()
        ]
        file = folder / "callers.json"
        file.write_text(json.dumps({"auth": users}))
        self.environment = {"CONTRACT_CALLERS": str(file), OWN_KEYS: ",".join(ids)}

    def add_sites(self, url: str) -> None:
        """Give each owner its sites, by way of the service."""
        for owner, key in self.keys.items():
            for number in range(SITES):
                site = {
                    "name": f"Shop {number}",
                    "external_id": f"{owner}-{number}",
                    "tags": ["shop"],
                    "city_id": 2988507,
                }
                answer = requests.post(f"{url}/v1/sites", json=site, headers={"X-API-Key": key}, timeout=30)
                assert answer.status_code == 201, answer.text


@dataclass(frozen=True)
class Findings:
    """What schemathesis has found: `failures` are operations by the kind of failure; `text` is what it printed."""

    cases: int
    failures: Mapping[str, set[str]]
    is_clean: bool
    text: str


def schemathesis(
    url: str, folder: Path, *arguments: str, env: Mapping[str, str], spec: Path = SPEC
) -> Findings:
    """Run it against the service at `url`, to its end; its report goes to `folder`."""
    report = folder / "schemathesis.json"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", str(spec), "--origin", url),
            *("--no-color", "--report", "json", "--report-json-path", str(report), *arguments),
        ],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **env},
    )
    if not report.exists():
        raise RuntimeError(f"schemathesis ended with {done.returncode}\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(report.read_text())
    failures: dict[str, set[str]] = {}
    for failure in found["failures"]:
        failures.setdefault(failure["type"], set()).update(failure["operations"])
    clean = done.returncode == 0 and found["complete"] and not found["errors"]
    return Findings(found["test_cases"]["generated"], failures, clean, done.stdout)


def spectral(spec: Path) -> set[tuple[str, str]]:
    """The rules that a spec breaks, and where: the path in it with dots. `spec` is named swagger.yaml."""
    done = subprocess.run(
        [str(NODE_PROGRAMS / "spectral"), "lint", "--format", "json", "--quiet", str(spec)],
        capture_output=True,
        text=True,
        cwd=spec.parent,
    )
    results = json.loads(done.stdout or "[]")
    return {(result["code"], ".".join(map(str, result["path"]))) for result in results}


def compile_client(spec: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Types from a spec, and the client with them, to `folder`; what the compiler has to say is in its stdout."""
    source = CHECKOUT / "tests" / "typescript"
    for name in ("client.mts", "tsconfig.json"):
        shutil.copy(source / name, folder / name)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(CHECKOUT / "node_modules")
    types = [str(NODE_PROGRAMS / "openapi-typescript"), str(spec), "--output", str(folder / "schema.mts")]
    subprocess.run(types, check=True, capture_output=True)
    return subprocess.run([str(NODE_PROGRAMS / "tsc"), "-p", str(folder)], capture_output=True, text=True)


def run_client(folder: Path, url: str, key: str) -> "subprocess.CompletedProcess[str]":
    """The compiled client, to its end, against the service at `url`."""
    return subprocess.run(
        ["node", str(folder / "client.mjs"), url, key], capture_output=True, text=True, timeout=60
    )
