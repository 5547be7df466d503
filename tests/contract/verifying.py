"""The tools that hold the contract against the running service, as functions for tests and for scripts/verify.py."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from swagger_server.key_store import create_key, new_key
from tests.contract.hooks import OWN_KEYS
from tests.support.process import CHECKOUT
from tests.support.servers import Database

SPEC = CHECKOUT / "swagger_server" / "swagger" / "swagger.yaml"
OWNERS = ("ada", "bob")
SPARE_KEYS = 120
"""Keys of each owner that a test may revoke."""


class Callers:
    """Two owners with a key each, as the file that schemathesis reads them from."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.keys = {owner: new_key() for owner in OWNERS}
        self.file = folder / "callers.json"
        with closing(database.connect()) as conn, conn:
            ids = [create_key(conn, key, owner, ["admin"], "in use") for owner, key in self.keys.items()]
            for owner in OWNERS:
                for number in range(SPARE_KEYS):
                    create_key(conn, new_key(), owner, ["read", "write"], f"spare {number}")
        auth = [
            {"name": owner, "fixedHeaders": [{"name": "X-API-Key", "value": key}]}
            for owner, key in self.keys.items()
        ]
        self.file.write_text(json.dumps({"auth": auth}))
        self.environment = {"CONTRACT_CALLERS": str(self.file), OWN_KEYS: ",".join(ids)}


def schemathesis(
    url: str, *arguments: str, env: Mapping[str, str], spec: Path = SPEC, config: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """`schemathesis run` against a service, to its end; what it prints is passed on when `echo` is set."""
    program = Path(sys.executable).with_name("schemathesis")
    chosen = ("--config-file", str(config)) if config else ()
    command = [str(program), *chosen, "run", str(spec), "--origin", url, "--no-color", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=CHECKOUT, env={**os.environ, **env}, check=False
    )
