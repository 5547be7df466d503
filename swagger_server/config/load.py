"""From file and environment to Settings: whose text counts, what is required, what must fit together."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from swagger_server.config.errors import ConfigError, suggestion
from swagger_server.config.kinds import Refused
from swagger_server.config.settings import (
    DEFAULT_DATABASE,
    POSTGRES,
    SECTIONS,
    DatabaseSettings,
    Key,
    Settings,
    keys_of,
)
from swagger_server.config.sources import FILE_NAME, Environment, IniFile, Raw, Section, find_file

DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Effective:
    """One setting as it holds: its value as text (secrets as stars), and the file or variable it is from."""

    section: str
    key: str
    value: str
    origin: str
    where: str
    """The origin as an error line begins: file or variable, section and key."""


@dataclass(frozen=True)
class Loaded:
    """Settings, where each came from, and notes on variables that look like settings but are none."""

    settings: Settings
    effective: tuple[Effective, ...]
    notes: tuple[str, ...]

    def where(self, section: str, key: str) -> str:
        """Where a setting stands, as an error line begins."""
        return next(item.where for item in self.effective if (item.section, item.key) == (section, key))


def load_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and check all settings: those of `path`, or of the usual places, with the environment on top.

    Raises ConfigError with one line. Connects to nothing: a database that is down is no wrong setting.
    """
    return read_settings(path, environ).settings


def read_settings(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """As load_settings, and tell where each setting came from."""
    return _Loader(IniFile(find_file(path, environ)), Environment(environ)).load()


@dataclass(frozen=True)
class _Loader:
    """One reading. `effective` grows key by key."""

    file: IniFile
    env: Environment
    effective: list[Effective] = field(default_factory=list)

    def load(self) -> Loaded:
        self._refuse_unknown_sections()
        databases = {name: self._database(name) for name in self._database_names()}
        parts = {name.lower(): self._part(name) for name in SECTIONS if name != POSTGRES}
        settings = Settings(databases=MappingProxyType(databases), source=self.file.path, **parts)
        self._check_pool(settings)
        self._check_cors(settings)
        self._check_replica(settings)
        self._check_jwt(settings)
        self._check_limits(settings)
        return Loaded(settings, tuple(self.effective), tuple(self._notes(databases)))

    def _refuse_unknown_sections(self) -> None:
        for section in self.file.sections():
            if section not in SECTIONS and not section.startswith(f"{POSTGRES}:"):
                known = ", ".join(f"[{name}]" for name in (*SECTIONS, f"{POSTGRES}:name"))
                near = suggestion(f"[{section}]", [f"[{name}]" for name in SECTIONS])
                raise ConfigError(
                    f"{self.file.path}: [{section}] is no section; it must be one of {known}{near}"
                )

    # Databases

    def _database_names(self) -> list[str]:
        """The default database if anything is said of it, then the file's, then the environment's."""
        in_file = [_name_in(section, self.file) for section in self.file.sections() if ":" in section]
        in_env = [name for name in self._names_in_environment() if name not in in_file]
        default = [DEFAULT_DATABASE] if self._is_default_given() else []
        return [*default, *in_file, *in_env]

    def _is_default_given(self) -> bool:
        in_environment = any(
            self.env.has(_section(DEFAULT_DATABASE), key) for key in keys_of(DatabaseSettings)
        )
        return in_environment or bool(self.file.keys(POSTGRES))

    def _names_in_environment(self) -> list[str]:
        """Databases that the environment alone describes: all required keys are there.

        Less than that is taken for somebody else's: many programs have variables that begin with POSTGRES_.
        """
        required = [key.name for key in keys_of(DatabaseSettings).values() if key.required]
        pattern = re.compile(rf"{POSTGRES}_([A-Z][A-Z0-9_]*)_{required[0]}(_FILE)?")
        found = {match[1].lower() for match in map(pattern.fullmatch, self.env.names()) if match}
        complete = {name for name in found if all(self.env.has(_section(name), key) for key in required)}
        return sorted(complete - {DEFAULT_DATABASE})

    def _database(self, name: str) -> DatabaseSettings:
        section = _section(name)
        database = DatabaseSettings(name=name, **self._values(section, DatabaseSettings))
        hosts, ports = (len(str(part).split(",")) for part in (database.host, database.port))
        if ports not in (1, hosts):
            must = f"must be one port, or one for each host: URL has {hosts}, PORT has {ports}"
            raise ConfigError(f"{self._where(section, 'PORT')}: {must}")
        return database

    # Keys

    def _part(self, name: str) -> Any:
        return SECTIONS[name](**self._values(Section.named(name), SECTIONS[name]))

    def _values(self, section: Section, owner: type[Any]) -> dict[str, Any]:
        """The values of a section's keys by the name of their field."""
        keys = keys_of(owner)
        self._refuse_unknown_keys(section, keys)
        return {key.field: self._value(section, key) for key in keys.values()}

    def _refuse_unknown_keys(self, section: Section, keys: Mapping[str, Key]) -> None:
        for name in self.file.keys(section.name):
            if name not in keys:
                near = _same_meaning(name, keys.values()) or suggestion(name, keys)
                known = ", ".join(keys)
                where = f"{self.file.path}: [{section.name}] {name}"
                raise ConfigError(f"{where} is no setting; it must be one of {known}{near}")

    def _value(self, section: Section, key: Key) -> Any:
        """The key's value, noted with its origin. A required key that is missing is an error."""
        raw = self._raw(section, key.name)
        if raw is not None and raw.text == "" and key.may_be_unset:
            raw = None
        if raw is None and key.required:
            raise ConfigError(self._missing(section, key))
        value = key.default if raw is None else _parse(raw, key)
        origin = "default" if raw is None else raw.origin
        where = self._where(section, key.name)
        self.effective.append(Effective(section.name, key.name, key.show(value), origin, where))
        return value

    def _raw(self, section: Section, key: str) -> Raw | None:
        """The text that counts: the environment's before the file's."""
        return self.env.get(section, key) or self.file.get(section, key)

    def _missing(self, section: Section, key: Key) -> str:
        place = (
            f"in {self.file.path or FILE_NAME} or as environment variable {section.variables(key.name)[0]}"
        )
        return f"[{section.name}] {key.name} is missing: it must be set {place}, to {key.kind.allowed}"

    # What must fit together

    def _check_pool(self, settings: Settings) -> None:
        section = Section.named("POOL")
        low, high = settings.pool.min, settings.pool.max
        if low > high:
            limit = f"MAX, which is {high} ({self._where(section, 'MAX')})"
            raise ConfigError(f"{self._where(section, 'MIN')} = {low}: must not be more than {limit}")
        if settings.pool.budget and find_spec("fcntl") is None:
            where = f"{self._where(section, 'BUDGET')} = {settings.pool.budget}"
            raise ConfigError(f"{where}: must be 0 on this system, which has no POSIX file locks")

    def _check_cors(self, settings: Settings) -> None:
        if settings.cors.credentials and "*" in settings.cors.origins:
            where = self._where(Section.named("CORS"), "CREDENTIALS")
            raise ConfigError(f"{where} = yes: ORIGINS must then name the origins instead of *")

    def _check_replica(self, settings: Settings) -> None:
        replicas = [
            name for name, each in settings.databases.items() if each.read_only and name != DEFAULT_DATABASE
        ]
        if replicas and settings.uses_embedded:
            where = self._where(_section(replicas[0]), "READ_ONLY")
            raise ConfigError(
                f"{where} = yes: [{POSTGRES}] must then name the server that it is a replica of"
            )
        if len(replicas) > 1:
            where = self._where(_section(replicas[1]), "READ_ONLY")
            one = _section(replicas[0]).name
            raise ConfigError(
                f"{where} = yes: must be so in one section only, and is in [{one}]; its URL may have several hosts"
            )

    def _check_jwt(self, settings: Settings) -> None:
        section = Section.named("JWT")
        for key in ("ISSUER", "AUDIENCE"):
            if settings.jwt.jwks is not None and getattr(settings.jwt, key.lower()) is None:
                # Or a token that the same issuer gave out for another service would be taken.
                raise ConfigError(f"{self._where(section, 'JWKS')}: [JWT] {key} must then be set as well")

    def _check_limits(self, settings: Settings) -> None:
        if settings.limits.storage is not None and find_spec("redis") is None:
            where = self._where(Section.named("LIMITS"), "STORAGE")
            raise ConfigError(f"{where}: needs the package redis, as in pip install 'swagger_server[redis]'")

    def _where(self, section: Section, key: str) -> str:
        """The place of a setting that was read before."""
        raw = self._raw(section, key)
        return raw.where if raw else f"default of [{section.name}] {key}"

    # Notes

    def _notes(self, databases: Iterable[str]) -> Iterator[str]:
        """Variables that look like settings. They may be another program's, so they are no error."""
        sections = [_section(name) for name in {DEFAULT_DATABASE: 0, **dict.fromkeys(databases)}]
        sections += [Section.named(name) for name in SECTIONS if name != POSTGRES]
        ours = {name: section for section in sections for name in _variables(section)}
        for name in self.env.names():
            if name in ours and self.env.injected(name):
                yield f"environment variable {name} holds no port but what an orchestrator put there: ignored"
            elif name.startswith(tuple(f"{known}_" for known in SECTIONS)) and name not in ours:
                yield from _look_alike(name, ours)


def _section(database: str) -> Section:
    return Section.named(POSTGRES if database == DEFAULT_DATABASE else f"{POSTGRES}:{database}")


def _name_in(section: str, file: IniFile) -> str:
    """The name in [POSTGRES:name]."""
    name = section.partition(":")[2]
    if not DATABASE_NAME.fullmatch(name) or name == DEFAULT_DATABASE:
        allowed = f"lower-case letters, digits and _, a letter first, and not {DEFAULT_DATABASE}"
        raise ConfigError(f"{file.path}: [{section}]: the name after {POSTGRES}: must be {allowed}")
    return name


def _parse(raw: Raw, key: Key) -> Any:
    """Turn text into a value. The error repeats the text only where it can hold no secret."""
    try:
        return key.kind.parse(raw.text, raw.folder)
    except ValueError as error:
        allowed = str(error) if isinstance(error, Refused) else key.kind.allowed
        # "from None": the error at hand may carry the text.
        raise ConfigError(f"{raw.where}{_shown(raw, key)}: must be {allowed}{_unit(key)}") from None


def _shown(raw: Raw, key: Key) -> str:
    shown = raw.text if len(raw.text) <= LONGEST_SHOWN else raw.text[:LONGEST_SHOWN] + "..."
    return f" = {shown!r}" if key.kind.open else ""


def _unit(key: Key) -> str:
    return f" ({key.unit})" if key.unit else ""


def _same_meaning(name: str, keys: Iterable[Key]) -> str:
    """A hint for a name that another program uses for one of our keys."""
    return next((f"; did you mean {key.name}?" for key in keys if name in key.also), "")


def _variables(section: Section) -> list[str]:
    owner = SECTIONS[section.name.partition(":")[0]]
    return [variable for key in keys_of(owner) for variable in section.variables(key)]


def _look_alike(name: str, ours: Mapping[str, Section]) -> Iterator[str]:
    prefix, _, key = name.partition("_")
    meant = _same_meaning(key, keys_of(SECTIONS[prefix]).values()).replace("mean ", f"mean {prefix}_")
    if near := meant or suggestion(name, ours, likeness=0.9):
        yield f"environment variable {name} is no setting{near}"
