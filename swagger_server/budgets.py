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
from swagger_server.our_gunicorn import account_of_workers
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
        _hand_over(open_ledger(budget.path).descriptor, folder)
    except OSError as error:
        raise ConfigError(f"[POOL] BUDGET_FOLDER: {budget.path} cannot be used: {error.strerror}") from None
    return budget


def _named_folder(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            _make(folder)
    except OSError as error:
        if folder.is_dir():  # made by another process meanwhile
            return _usable(folder)
        raise ConfigError(f"[POOL] BUDGET_FOLDER: {folder} cannot be made: {error.strerror}") from None
    return _usable(folder)


def _own_folder() -> Path:
    """Anybody may make folders in these places, so one that is not exactly as we would make it is refused."""
    place = next((place for place in _PLACES if os.access(place, os.W_OK | os.X_OK)), _PLACES[-1])
    user, _ = _account()
    folder = place / f"swagger_server-budget-{user}"
    try:
        _make(folder)
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(
            f"[POOL] BUDGET_FOLDER must be set: {folder} cannot be made: {error.strerror}"
        ) from None
    found = folder.lstat()
    if found.st_uid != user or found.st_mode & 0o170077 != 0o040000:
        raise ConfigError(f"[POOL] BUDGET_FOLDER must be set: {folder} is another user's, or open to others")
    return _usable(folder)


def _account() -> tuple[int, int]:
    """Whose the files are: gunicorn's master may be root and its workers not."""
    account = account_of_workers() if os.name == "posix" and os.geteuid() == 0 else None
    return account or (os.geteuid(), os.getegid())


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    if _account() != (os.geteuid(), os.getegid()):
        os.chown(folder, *_account(), follow_symlinks=False)


def _hand_over(descriptor: int, folder: Path) -> None:
    """What root has just made, to the workers, or to whom the folder belongs. A link to a file of root's stays."""
    user, group = _account()
    if user == 0:
        owner = folder.stat()
        user, group = owner.st_uid, owner.st_gid
    found = os.fstat(descriptor)
    if os.geteuid() == 0 == found.st_uid != user and found.st_nlink == 1:
        os.fchown(descriptor, user, group)


def _usable(folder: Path) -> Path:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"[POOL] BUDGET_FOLDER: {folder} cannot be written to")
    return folder
