"""Where settings stand before they mean anything: the text of a file's key or of an environment variable.

Owns looking for the file, reading it, and the environment's names. Knows no key by name but PORT.
"""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swagger_server.config.errors import ConfigError

FILE_NAME = "config.ini"
FILE_VARIABLE = "SWAGGER_SERVER_CONFIG"
CHECKOUT = Path(__file__).resolve().parents[2]

# Kubernetes and Docker links tell of a service called "postgres" by POSTGRES_PORT=tcp://10.0.0.1:5432.
INJECTED_PORT = re.compile(r"[a-z]+://")


@dataclass(frozen=True)
class Section:
    """A section as config.ini writes it, and what its keys begin with in the environment."""

    name: str
    prefix: str

    @classmethod
    def named(cls, name: str) -> "Section":
        """The section with its usual prefix: POOL has POOL_, POSTGRES:reports has POSTGRES_REPORTS_."""
        return cls(name, name.replace(":", "_").upper())

    def variables(self, key: str) -> tuple[str, str]:
        """The variable that holds a key, and the one that names a file which does."""
        return f"{self.prefix}_{key}", f"{self.prefix}_{key}_FILE"


@dataclass(frozen=True)
class Raw:
    """A setting's text and where it came from. The text stays out of the repr: it may be a secret."""

    text: str
    where: str
    origin: str
    folder: Path

    def __repr__(self) -> str:
        return f"Raw({self.where})"


class _Parser(configparser.ConfigParser):
    """INI as people write it: `%` means itself, no section lends its keys to others, keys are upper case."""

    def __init__(self) -> None:
        super().__init__(interpolation=None, default_section="", empty_lines_in_values=False)

    def optionxform(self, optionstr: str) -> str:
        return optionstr.upper()


class IniFile:
    """The sections and keys of one config.ini, or of none."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._sections = _parse(path) if path else _Parser()

    def sections(self) -> list[str]:
        return self._sections.sections()

    def keys(self, section: str) -> list[str]:
        """The keys that stand in a section, also those with an empty value."""
        return list(self._sections[section]) if section in self._sections else []

    def get(self, section: Section, key: str) -> Raw | None:
        """The key's text, without white space around it."""
        text = self._sections.get(section.name, key, fallback=None)
        if text is None or self.path is None:
            return None
        return Raw(text, f"{self.path}: [{section.name}] {key}", self.path.name, self.path.parent)


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read, if any: `path`, else the one that SWAGGER_SERVER_CONFIG names; both must exist.

    Else config.ini in the current folder, else beside the package, in the checkout.
    """
    if path is not None:
        return _must_exist(path, "")
    if named := environ.get(FILE_VARIABLE):
        return _must_exist(Path(named), f" (named by environment variable {FILE_VARIABLE})")
    places = (Path.cwd() / FILE_NAME, CHECKOUT / FILE_NAME)
    return next((place for place in places if place.exists()), None)


def _must_exist(path: Path, named_by: str) -> Path:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such settings file{named_by}")
    return path.absolute()


def _parse(path: Path) -> _Parser:
    """Read a file; whatever ConfigParser has against it becomes one line without the text it stumbled on."""
    parser = _Parser()
    try:
        parser.read_string(read_text(path, str(path)))
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}: there must be a [SECTION] before the first key"
        ) from None
    except configparser.DuplicateSectionError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}: section [{error.section}] must be there only once"
        ) from None
    except configparser.DuplicateOptionError as error:
        where = f"{path}, line {error.lineno}: [{error.section}] {error.option}"
        raise ConfigError(f"{where} must be there only once") from None
    except configparser.ParsingError as error:
        line = error.errors[0][0] if error.errors else 0
        raise ConfigError(f"{path}, line {line}: must be KEY = value, [SECTION] or # comment") from None
    return parser


def read_text(path: Path, where: str) -> str:
    """Read UTF-8 text, with or without a byte order mark; a ConfigError says why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: must be UTF-8 text, but byte {error.start} is not") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not the path of a file"
        raise ConfigError(f"{where}: cannot be read: {reason}") from None


class Environment:
    """Settings in environment variables: PREFIX_KEY, or PREFIX_KEY_FILE for one whose text is in a file."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # An empty variable counts as none: that is how compose files pass on what was not set.
        self._given = {name: text for name, text in environ.items() if text}

    def names(self) -> list[str]:
        """All variables, sorted, whoever's they are."""
        return sorted(self._given)

    def has(self, section: Section, key: str) -> bool:
        """True when the key is given, in either way."""
        return any(name in self._given and not self.injected(name) for name in section.variables(key))

    def injected(self, name: str) -> bool:
        """True for a variable that an orchestrator made up from a service's name and that is no port."""
        return name.endswith("_PORT") and bool(INJECTED_PORT.match(self._given.get(name, "")))

    def get(self, section: Section, key: str) -> Raw | None:
        """The key's text; a ConfigError when it is given in both ways, or its file cannot be read."""
        given = [name for name in section.variables(key) if name in self._given and not self.injected(name)]
        if len(given) > 1:
            raise ConfigError(f"environment variables {' and '.join(given)}: only one of them may be set")
        return self._raw(given[0], f"[{section.name}] {key}", given[0].endswith("_FILE")) if given else None

    def _raw(self, name: str, key: str, in_file: bool) -> Raw:
        where = f"environment variable {name} ({key})"
        text = self._given[name]
        if in_file:  # the end of the last line is what editors and echo add
            text = read_text(Path(text), f"{where}: {text}").rstrip("\r\n")
        return Raw(text, where, name, Path.cwd())
