"""Who runs the server. PostgreSQL refuses to run as root, so root lends it another account.

Nothing here changes permissions of anything: what the account cannot reach is put elsewhere (see `folders`).
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import EmbeddedError

if sys.platform != "win32":
    import pwd

_SYSTEM_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user other than the caller, under whom root starts the server."""

    uid: int
    gid: int

    def can_use(self, path: Path) -> bool:
        """Whether the account can enter (a folder) or run (a file) `path`, as the kernel sees it."""
        child = os.fork()
        if child == 0:
            _exit_with(lambda: self._allows(path))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def _allows(self, path: Path) -> bool:
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)
        return os.access(path, os.X_OK)


def server_account(cluster: Path) -> Account | None:
    """The account for the server of `cluster`: None is ourselves; else its owner, else a system account."""
    if os.geteuid() != 0:
        return None
    return _owner(cluster) or _system_account()


def process_arguments(account: Account | None) -> dict[str, Any]:
    """What `subprocess` needs to run a program under the account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner of `path`, a file or folder that we have just made."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _owner(cluster: Path) -> Account | None:
    try:
        found = cluster.stat()
    except FileNotFoundError:
        return None
    return Account(found.st_uid, found.st_gid) if found.st_uid != 0 else None


def _system_account() -> Account:
    for name in _SYSTEM_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "The embedded database cannot run as root, and there is no user postgres or nobody to run it as:"
        " start the service as an ordinary user, or name a server in [POSTGRES] of config.ini."
    )


def _exit_with(question: Callable[[], bool]) -> None:
    """End a forked child with the answer, whatever happens: it must never return into the parent's code."""
    answer = False
    try:
        answer = question()
    finally:
        os._exit(0 if answer else 1)
