"""The settings as frozen dataclasses, and the table of keys: each field says how it stands in config.ini."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from swagger_server.config.kinds import (
    Choice,
    DatabaseName,
    Flag,
    Folder,
    Host,
    KeySetSource,
    Kind,
    Number,
    Origins,
    Ports,
    Rate,
    Rates,
    ReadableFile,
    RedisUrl,
    Text,
    Whole,
)

DEFAULT_DATABASE = "default"

HOUR = 3600.0
DAY = 24 * HOUR
GIB = 1024**3


@dataclass(frozen=True)
class Key:
    """One key of config.ini: its section's field, its kind, and the words that explain it."""

    name: str
    field: str
    kind: Kind
    default: Any
    unit: str
    comment: str
    required: bool = False
    secret: bool = False
    also: tuple[str, ...] = ()

    @property
    def may_be_unset(self) -> bool:
        """True when an empty text is no text: the key has no default, or "unset" is its default."""
        return self.required or self.default is None

    def show(self, value: Any) -> str:
        """Write a value as in config.ini; a secret as stars, whatever its length."""
        return "*****" if self.secret and value else self.kind.show(value)


def _key(default: Any, name: str, kind: Kind, comment: str, unit: str = "", **more: Any) -> Any:
    """Declare a field together with its key. `default=MISSING` makes the key required."""
    declared = {"name": name, "kind": kind, "unit": unit, "comment": comment, **more}
    return field(default=default, repr=not more.get("secret", False), metadata=declared)


def keys_of(section: type[Any]) -> dict[str, Key]:
    """The keys of a settings dataclass by name, in the order of its fields."""
    declared = (item for item in fields(section) if item.metadata)
    found = (
        Key(field=item.name, default=item.default, required=item.default is MISSING, **item.metadata)
        for item in declared
    )
    return {key.name: key for key in found}


@dataclass(frozen=True)
class DatabaseSettings:
    """How one database is reached."""

    name: str
    host: str = _key(
        MISSING,
        "URL",
        Host(),
        "Where the server is.",
        also=("HOST", "HOSTNAME", "SERVER"),
    )
    user: str = _key(MISSING, "USER", Text(), "Role to log in as.", also=("USERNAME",))
    dbname: str = _key(
        MISSING, "DB", DatabaseName(), "Name of the database.", also=("DATABASE", "DBNAME", "NAME")
    )
    port: int | str = _key(5432, "PORT", Ports(), "The server's port.")
    password: str | None = _key(
        None,
        "PW",
        Text(),
        "Password; better given as POSTGRES_PW or POSTGRES_PW_FILE in the environment.",
        secret=True,
        also=("PASSWORD", "PASS"),
    )
    sslmode: str | None = _key(
        None,
        "SSLMODE",
        Choice(("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
        "How encryption is asked for and checked; unset: prefer.",
    )
    sslrootcert: str | None = _key(
        None,
        "SSLROOTCERT",
        ReadableFile(("system",)),
        "The certificate authorities to trust.",
    )
    sslcert: str | None = _key(None, "SSLCERT", ReadableFile(), "The client's certificate.")
    sslkey: str | None = _key(None, "SSLKEY", ReadableFile(), "The key of the client's certificate.")
    target_session_attrs: str | None = _key(
        None,
        "TARGET_SESSION_ATTRS",
        Choice(("any", "read-write", "read-only", "primary", "standby", "prefer-standby")),
        "Which of several hosts to connect to; unset: read-write, or prefer-standby where READ_ONLY.",
    )
    read_only: bool = _key(
        False,
        "READ_ONLY",
        Flag(),
        "Whether it is a replica; one in [POSTGRES:name] takes the reads of [POSTGRES].",
    )

    def connect_kwargs(self) -> dict[str, Any]:
        """Arguments for psycopg2.connect; only what is set. They hold the password: not for logs."""
        given = {key.field: getattr(self, key.field) for key in keys_of(DatabaseSettings).values()}
        del given["read_only"]
        given["target_session_attrs"] = self._wanted_host()
        return {name: value for name, value in given.items() if value is not None}

    def _wanted_host(self) -> str | None:
        """Of several hosts one that writes, so that after a failover the old primary is left alone."""
        if self.target_session_attrs is not None or "," not in self.host:
            return self.target_session_attrs
        return "prefer-standby" if self.read_only else "read-write"


@dataclass(frozen=True)
class PoolSettings:
    """One worker's pool of connections, for each database."""

    min: int = _key(1, "MIN", Whole(0, 1000), "Connections that each worker keeps open.", "connections")
    max: int = _key(
        20,
        "MAX",
        Whole(1, 1000),
        "Most connections of each worker; workers x MAX must fit the server's max_connections.",
        "connections",
    )
    timeout: float = _key(
        5.0,
        "TIMEOUT",
        Number(0, HOUR),
        "How long a request waits for a connection before it gets a 503.",
        "seconds",
    )
    max_waiting: int = _key(
        0,
        "MAX_WAITING",
        Whole(0, 100_000),
        "Requests that may wait; more get a 503 at once; 0: no bound.",
        "requests",
    )
    max_idle: float = _key(
        600.0,
        "MAX_IDLE",
        Number(1, 7 * DAY),
        "A connection beyond MIN that was idle this long is closed.",
        "seconds",
    )
    max_lifetime: float = _key(
        1800.0,
        "MAX_LIFETIME",
        Number(1, 7 * DAY),
        "A connection this old is replaced, give or take a little.",
        "seconds",
    )
    outage_grace: float = _key(
        2.0,
        "OUTAGE_GRACE",
        Number(0, HOUR),
        "How long requests go on waiting after the database went away.",
        "seconds",
    )
    query_timeout: float = _key(
        0.0,
        "QUERY_TIMEOUT",
        Number(0, DAY),
        "A query that takes longer is cut off by the client; 0: off, or for a replica STATEMENT_TIMEOUT + 1.",
        "seconds",
    )
    reset: str = _key(
        "smart",
        "RESET",
        Choice(("smart", "always", "never")),
        "When a returned session is cleaned; smart: when its statements could have changed it.",
    )
    leak_after: float = _key(
        0.0,
        "LEAK_AFTER",
        Number(0, DAY),
        "One held longer is reported with its borrower's stack; 0: off.",
        "seconds",
    )
    budget: int = _key(
        0,
        "BUDGET",
        Whole(0, 1000),
        "Most connections of all workers on this host together, for each database; 0: no budget.",
        "connections",
    )
    budget_folder: Path | None = _key(  # noqa: RUF009 - it makes a field
        None,
        "BUDGET_FOLDER",
        Folder(),
        "Where workers tell each other who has them; unset: a folder of this user's in /var/tmp, or /tmp.",
    )


@dataclass(frozen=True)
class CorsSettings:
    """Which web apps on other origins may read the answers."""

    origins: tuple[str, ...] = _key(
        ("*",),
        "ORIGINS",
        Origins(),
        "The origins that may read the answers; * is all of them, empty is none.",
        also=("ORIGIN",),
    )
    max_age: int = _key(
        600,
        "MAX_AGE",
        Whole(0, 86_400),
        "How long a browser may remember the answer to a preflight.",
        "seconds",
    )
    credentials: bool = _key(
        False,
        "CREDENTIALS",
        Flag(),
        "Whether cookies and logins may be sent; ORIGINS must then name its origins.",
    )


@dataclass(frozen=True)
class ServerSettings:
    """How the service answers and what it writes down."""

    log_format: str = _key(
        "text", "LOG_FORMAT", Choice(("text", "json")), "How a line of the log is written."
    )
    log_level: str = _key(
        "INFO",
        "LOG_LEVEL",
        Choice(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
        "The least weight of what is logged.",
    )
    statement_timeout: float = _key(
        5.0,
        "STATEMENT_TIMEOUT",
        Number(0, DAY),
        "The server ends a statement that takes longer; 0: no bound.",
        "seconds",
    )
    deadline: float = _key(
        10.0,
        "DEADLINE",
        Number(0, DAY),
        "A request that is not answered by then is ended with a 504, whatever it waits for; 0: no bound.",
        "seconds",
    )
    max_body: int = _key(1_048_576, "MAX_BODY", Whole(0, GIB), "A larger request body gets a 413.", "bytes")
    cache_seconds: int = _key(
        300,
        "CACHE_SECONDS",
        Whole(0, 31_536_000),
        "Cache-Control max-age of what was read without a key, but for paths that the spec also writes to.",
        "seconds",
    )
    gzip_min: int = _key(
        1000,
        "GZIP_MIN",
        Whole(0, GIB),
        "Answers from this size on are compressed when asked for; 0: never.",
        "bytes",
    )
    retry_after: int = _key(1, "RETRY_AFTER", Whole(0, 3600), "Retry-After that goes with a 503.", "seconds")
    trusted_proxies: int = _key(
        0,
        "TRUSTED_PROXIES",
        Whole(0, 10),
        "Reverse proxies in front, whose X-Forwarded headers are believed.",
        "proxies",
    )
    swagger_ui: bool = _key(True, "SWAGGER_UI", Flag(), "Whether Swagger UI is served.")
    cpu_affinity: bool = _key(
        True,
        "CPU_AFFINITY",
        Flag(),
        "Whether a worker keeps its threads on one processor, and goes to another where others need it (Linux).",
    )
    prepare: bool = _key(
        True,
        "PREPARE",
        Flag(),
        "Whether a connection prepares the reads that come again; set it to no behind PgBouncer.",
    )
    retry_reads: bool = _key(
        True, "RETRY_READS", Flag(), "Whether a GET whose database connection died under it is run again."
    )
    retry_writes: bool = _key(
        True,
        "RETRY_WRITES",
        Flag(),
        "Whether a write that a deadlock or a serialization failure has undone is run again.",
    )
    require_if_match: bool = _key(
        False,
        "REQUIRE_IF_MATCH",
        Flag(),
        "Whether a change must say by If-Match which version it is of; without it gets a 428.",
    )
    idempotency_seconds: int = _key(
        86_400,
        "IDEMPOTENCY_SECONDS",
        Whole(1, 31_536_000),
        "How long an answer is kept for the Idempotency-Key that it was asked with.",
        "seconds",
    )
    rows: str = _key("tuple", "ROWS", Choice(("tuple", "dict")), "What cursors give for a row.")
    metrics: bool = _key(
        True,
        "METRICS",
        Flag(),
        "Whether /metrics tells Prometheus what was counted; keep it from the public at the reverse proxy.",
    )
    pool_page: bool | None = _key(
        None,
        "POOL_PAGE",
        Flag(),
        "Whether /pool shows who has which connection; unset: with the embedded database only.",
    )


@dataclass(frozen=True)
class JwtSettings:
    """Whose bearer tokens are taken; none without JWKS."""

    jwks: str | None = _key(
        None,
        "JWKS",
        KeySetSource(),
        "The public keys of the tokens' issuer, a JSON Web Key Set; unset: no bearer token is taken.",
    )
    issuer: str | None = _key(
        None, "ISSUER", Text(), "The claim iss that a token must have; required with JWKS."
    )
    audience: str | None = _key(
        None, "AUDIENCE", Text(), "The claim aud that a token must have; required with JWKS."
    )
    owner: str = _key("sub", "OWNER", Text(), "The claim that names the owner whose data a token opens.")
    scope: str = _key("scope", "SCOPE", Text(), "The claim with the scopes: read, write or admin.")
    leeway: float = _key(
        10.0, "LEEWAY", Number(0, 300), "How far the issuer's clock may be from ours.", "seconds"
    )


@dataclass(frozen=True)
class BulkSettings:
    """Requests whose body is too large for memory: those of operations that the spec marks so."""

    max_body: int = _key(
        256 * 1_048_576,
        "MAX_BODY",
        Whole(0, 64 * GIB),
        "A larger body of such a request gets a 413.",
        "bytes",
    )
    deadline: float = _key(
        120.0,
        "DEADLINE",
        Number(0, DAY),
        "Such a request is answered within this time of the end of its body, or with a 504; 0: no bound.",
        "seconds",
    )
    body_time: float = _key(
        900.0,
        "BODY_TIME",
        Number(0, DAY),
        "All of such a body is to come within this time, else a 408; 0: no bound.",
        "seconds",
    )
    uploads: int = _key(
        16,
        "UPLOADS",
        Whole(0, 10_000),
        "Such requests at once, each with a body on disk, in one worker; more get a 503 unread. 0: no bound.",
    )
    uploads_per_caller: int = _key(
        4,
        "UPLOADS_PER_CALLER",
        Whole(0, 10_000),
        "The same of one caller that the security functions know; more get a 429. 0: no bound.",
    )
    per_owner: int = _key(
        2,
        "PER_OWNER",
        Whole(0, 10_000),
        "Imports, and exports, of one owner at once in one worker; more get a 429. 0: no bound but that of all, a "
        "quarter of the connections each.",
    )
    patience: float = _key(
        300.0,
        "PATIENCE",
        Number(0, DAY),
        "A client whose system takes nothing of a stream, as of an export, for so long is cut off, and the stream's "
        "connection to the database given back; 0: never.",
        "seconds",
    )
    folder: Path | None = _key(  # noqa: RUF009 - it makes a field
        None,
        "FOLDER",
        Folder(),
        "Where their bodies are while they last; unset: where the system has its temporary files.",
    )


@dataclass(frozen=True)
class LimitSettings:
    """How much one caller may ask for."""

    reads_per_address: Rate | None = _key(  # noqa: RUF009 - it makes a field
        Rate(10_000, 1, "second"),
        "READS_PER_ADDRESS",
        Rates(),
        "Requests that read, of one IPv4 address or IPv6 /64; more get a 429. Behind proxies set TRUSTED_PROXIES.",
    )
    writes_per_address: Rate | None = _key(  # noqa: RUF009
        Rate(100, 1, "second"), "WRITES_PER_ADDRESS", Rates(), "The same for requests that write."
    )
    reads_per_key: Rate | None = _key(  # noqa: RUF009
        Rate(10_000, 1, "second"),
        "READS_PER_KEY",
        Rates(),
        "Requests that read, of one caller that the security functions know, from whatever addresses.",
    )
    writes_per_key: Rate | None = _key(  # noqa: RUF009
        Rate(100, 1, "second"), "WRITES_PER_KEY", Rates(), "The same for requests that write."
    )
    failed_authentications: Rate | None = _key(  # noqa: RUF009
        Rate(20, 1, "minute"),
        "FAILED_AUTHENTICATIONS",
        Rates(),
        "Wrong keys and tokens of one address; after that it gets a 429 for any, right or wrong.",
    )
    storage: str | None = _key(
        None,
        "STORAGE",
        RedisUrl(),
        "Where the requests are counted; unset: in memory, for all workers of this host together.",
        secret=True,
    )
    json_depth: int = _key(
        32,
        "JSON_DEPTH",
        Whole(0, 500),
        "Levels of arrays and objects in a JSON body; a deeper one gets a 400; 0: 500, as many as are safe.",
        "levels",
    )

    @property
    def any_rate(self) -> bool:
        """Whether anything is to be counted."""
        rates = (self.reads_per_address, self.writes_per_address, self.reads_per_key, self.writes_per_key)
        return any(rates) or self.failed_authentications is not None


@dataclass(frozen=True)
class EmbeddedSettings:
    """The PostgreSQL that the service starts itself while [POSTGRES] is empty."""

    data: Path | None = _key(  # noqa: RUF009 - it makes a field
        None,
        "DATA",
        Folder(),
        "Where its data is; unset: .postgres in the checkout, else below ~/.local/share.",
    )


@dataclass(frozen=True)
class Settings:
    """Everything, read once. Without a database called "default" the embedded one takes its place."""

    databases: Mapping[str, DatabaseSettings] = field(default_factory=lambda: MappingProxyType({}))
    pool: PoolSettings = PoolSettings()
    cors: CorsSettings = CorsSettings()
    server: ServerSettings = ServerSettings()
    jwt: JwtSettings = JwtSettings()
    bulk: BulkSettings = BulkSettings()
    limits: LimitSettings = LimitSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    source: Path | None = None

    @property
    def uses_embedded(self) -> bool:
        """True when the default database is the one that the service starts itself."""
        return DEFAULT_DATABASE not in self.databases

    @property
    def replica(self) -> str | None:
        """The database that takes the default one's reads; None where there is none."""
        return next(
            (name for name, each in self.databases.items() if each.read_only and name != DEFAULT_DATABASE),
            None,
        )

    @property
    def shows_pool_page(self) -> bool:
        """Whether /pool is there: as said, else where the database is a developer's own."""
        said = self.server.pool_page
        return self.uses_embedded if said is None else said


POSTGRES = "POSTGRES"
"""The section of the default database; the others are [POSTGRES:name]."""

SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        POSTGRES: DatabaseSettings,
        "POOL": PoolSettings,
        "CORS": CorsSettings,
        "SERVER": ServerSettings,
        "JWT": JwtSettings,
        "BULK": BulkSettings,
        "LIMITS": LimitSettings,
        "EMBEDDED": EmbeddedSettings,
    }
)
