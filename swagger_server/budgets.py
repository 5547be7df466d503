"""Where the processes of this host meet that share a budget: one file for each database, found by all of them.

Whatever the version, the folder and the way they were started, processes of one user that name the same database in
the same section find the same file. Owns the folder; what is in the files is the pool's.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swagger_server.config import ConfigError, PoolSettings
from swagger_server.pool import Budget
from swagger_server.pool.ledger import open_ledger

# Not TMPDIR or XDG_RUNTIME_DIR: a service and a shell of the same user differ in them.
_PLACES = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108
_WHO = ("host", "port", "dbname", "user")


def budget_for(pool: PoolSettings, name: str, arguments: Mapping[str, Any]) -> Budget | None:
    """The budget of the database `name`, reached with psycopg2.connect's `arguments`; None when there is none.

    Makes the folder at need; ConfigError when it cannot be used.
    """
    if not pool.budget:
        return None
    folder = _own_folder() if pool.budget_folder is None else _named_folder(pool.budget_folder)
    text = "\0".join([name, *(str(arguments.get(part, "")) for part in _WHO)])
    budget = Budget(str(folder / hashlib.sha256(text.encode()).hexdigest()[:32]), pool.budget)
    try:
        open_ledger(budget.path)
    except OSError as error:
        raise ConfigError(f"[POOL] BUDGET_FOLDER: {budget.path} cannot be used: {error.strerror}") from None
    return budget


def _named_folder(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"[POOL] BUDGET_FOLDER: {folder} cannot be made: {error.strerror}") from None
    return _usable(folder)


def _own_folder() -> Path:
    """Anybody may make folders in these places, so one that is not exactly as we would make it is refused."""
    place = next((place for place in _PLACES if os.access(place, os.W_OK | os.X_OK)), _PLACES[-1])
    folder = place / f"swagger_server-budget-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(
            f"[POOL] BUDGET_FOLDER must be set: {folder} cannot be made: {error.strerror}"
        ) from None
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o170077 != 0o040000:
        raise ConfigError(f"[POOL] BUDGET_FOLDER must be set: {folder} is another user's, or open to others")
    return _usable(folder)


def _usable(folder: Path) -> Path:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"[POOL] BUDGET_FOLDER: {folder} cannot be written to")
    return folder
