"""Where the embedded server keeps its data and its socket.

In the data folder lie the locks, the server's log, and `cluster`, which is PostgreSQL's own folder. When
root runs the server under another account that cannot enter the data folder (a checkout below /root,
say), `cluster` is a symbolic link to a folder where it can. No folder that was there before gets other
permissions.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from .account import Account, give
from .errors import EmbeddedError

_STATE_FOLDERS = (Path("/var/lib/swagger_server"), Path("/var/tmp/swagger_server"))  # noqa: S108
_LONGEST_SOCKET_PATH = 100  # bytes; Linux allows 107, macOS 103
_SOCKET_NAME = ".s.PGSQL.5432"


def default_data() -> Path:
    """`.postgres` in the checkout if we can write there, else the user's own data folder."""
    checkout = Path(__file__).resolve().parents[2]
    local = checkout / ".postgres"
    if (checkout / "pyproject.toml").is_file() and os.access(local if local.exists() else checkout, os.W_OK):
        return local
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(base) / "swagger_server" / "postgres"


def prepare_data(data: Path) -> Path:
    """Make the data folder if need be and return its one true path; EmbeddedError when we cannot use it."""
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        _make(data, 0o711 if os.geteuid() == 0 else 0o700)
        if not os.access(data, os.W_OK | os.X_OK):
            raise PermissionError(13, "it belongs to another user")
    except OSError as error:
        raise EmbeddedError(
            f"The embedded database cannot keep its data in {data} ({error.strerror}):"
            " name another folder as DATA in [EMBEDDED] of config.ini."
        ) from None
    return data.resolve()


def cluster_folder(data: Path, account: Account | None) -> Path:
    """PostgreSQL's folder, which need not exist yet, at a place that the account can enter."""
    cluster = data / "cluster"
    if not cluster.resolve().parent.is_dir():
        cluster.unlink()  # the link's target was removed: start afresh
    if not os.path.lexists(cluster) and account is not None and not account.can_use(data):
        home = Path(tempfile.mkdtemp(prefix=f"{data.parent.name}-", dir=state_folder()))
        os.chmod(home, 0o711)  # noqa: S103
        cluster.symlink_to(home / "cluster")
    return cluster.resolve()


def state_folder() -> Path:
    """Root's own folder for what must be in reach of another account."""
    for folder in _STATE_FOLDERS:
        try:
            _make(folder, 0o711)
        except OSError:
            continue
        if folder.lstat().st_uid == 0 and folder.is_dir():
            return folder
    raise EmbeddedError(f"The embedded database needs a folder of its own: cannot make {_STATE_FOLDERS[0]}.")


def socket_folder(cluster: Path, account: Account | None) -> Path:
    """The cluster itself, which nobody else may enter; a short folder in /tmp where that path does not do."""
    path = os.fsencode(cluster / _SOCKET_NAME)
    # libpq takes a comma for the end of one host in a list of them
    if len(path) <= _LONGEST_SOCKET_PATH and b"," not in path:
        return cluster
    owner = account.uid if account else os.geteuid()
    key = hashlib.sha256(path).hexdigest()[:16]
    return _private_folder(Path(f"/tmp/swagger_server-{owner}-{key}"), owner, account)  # noqa: S108


def _private_folder(folder: Path, owner: int, account: Account | None) -> Path:
    """Anybody may make folders in /tmp, so one that is not exactly as we would make it is refused."""
    if _make(folder, 0o700):
        give(folder, account)
    found = folder.lstat()
    if found.st_uid != owner or found.st_mode != 0o040700:
        raise EmbeddedError(f"The embedded database's socket folder {folder} is not safe: remove it.")
    return folder


def _make(folder: Path, mode: int) -> bool:
    """Make one folder with exactly this mode, whatever the umask; False when there was something already."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    os.chmod(folder, mode)
    return True
