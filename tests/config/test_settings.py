"""Settings reach their field, from the file, from the environment and from files that it names."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from swagger_server.config import (
    BulkSettings,
    CorsSettings,
    DatabaseSettings,
    EmbeddedSettings,
    JwtSettings,
    LimitSettings,
    PoolSettings,
    Rate,
    ServerSettings,
    Settings,
    example,
    load_settings,
    read_settings,
)

OWN = {"POSTGRES_URL": "db", "POSTGRES_USER": "me", "POSTGRES_DB": "places"}
EXAMPLE = Path(__file__).parents[2] / "config.ini.example"

# Section, key, text, the field it reaches, the value there: none of them is the default.
EVERY_KEY: list[tuple[str, str, str, str, Any]] = [
    ("POSTGRES", "URL", "a.example, /run/pg", "host", "a.example,/run/pg"),
    ("POSTGRES", "PORT", "5433,5434", "port", "5433,5434"),
    ("POSTGRES", "USER", "someone", "user", "someone"),
    ("POSTGRES", "PW", "100%;#$(x)", "password", "100%;#$(x)"),
    ("POSTGRES", "DB", "atlas", "dbname", "atlas"),
    ("POSTGRES", "SSLMODE", "verify-full", "sslmode", "verify-full"),
    ("POSTGRES", "SSLROOTCERT", "system", "sslrootcert", "system"),
    ("POSTGRES", "SSLCERT", "{file}", "sslcert", "{file}"),
    ("POSTGRES", "SSLKEY", "{file}", "sslkey", "{file}"),
    ("POSTGRES", "TARGET_SESSION_ATTRS", "primary", "target_session_attrs", "primary"),
    ("POSTGRES", "READ_ONLY", "yes", "read_only", True),
    ("POOL", "MIN", "2", "min", 2),
    ("POOL", "MAX", "30", "max", 30),
    ("POOL", "TIMEOUT", "1.5", "timeout", 1.5),
    ("POOL", "MAX_WAITING", "7", "max_waiting", 7),
    ("POOL", "MAX_IDLE", "60", "max_idle", 60.0),
    ("POOL", "MAX_LIFETIME", "3600", "max_lifetime", 3600.0),
    ("POOL", "OUTAGE_GRACE", "0", "outage_grace", 0.0),
    ("POOL", "QUERY_TIMEOUT", "12", "query_timeout", 12.0),
    ("POOL", "RESET", "Always", "reset", "always"),
    ("POOL", "LEAK_AFTER", "30", "leak_after", 30.0),
    ("POOL", "BUDGET", "10", "budget", 10),
    ("POOL", "BUDGET_FOLDER", "{folder}", "budget_folder", Path("{folder}")),
    (
        "CORS",
        "ORIGINS",
        "https://a.example, http://b:3000",
        "origins",
        ("https://a.example", "http://b:3000"),
    ),
    ("CORS", "MAX_AGE", "0", "max_age", 0),
    ("CORS", "CREDENTIALS", "yes", "credentials", True),
    ("JWT", "JWKS", "{file}", "jwks", "{file}"),
    ("JWT", "ISSUER", "https://login.example", "issuer", "https://login.example"),
    ("JWT", "AUDIENCE", "places", "audience", "places"),
    ("JWT", "OWNER", "org_id", "owner", "org_id"),
    ("JWT", "SCOPE", "permissions", "scope", "permissions"),
    ("JWT", "LEEWAY", "0", "leeway", 0.0),
    ("SERVER", "LOG_FORMAT", "json", "log_format", "json"),
    ("SERVER", "LOG_LEVEL", "debug", "log_level", "DEBUG"),
    ("SERVER", "STATEMENT_TIMEOUT", "0.25", "statement_timeout", 0.25),
    ("SERVER", "MAX_BODY", "10", "max_body", 10),
    ("SERVER", "CACHE_SECONDS", "0", "cache_seconds", 0),
    ("SERVER", "GZIP_MIN", "0", "gzip_min", 0),
    ("SERVER", "RETRY_AFTER", "3", "retry_after", 3),
    ("SERVER", "TRUSTED_PROXIES", "1", "trusted_proxies", 1),
    ("SERVER", "SWAGGER_UI", "off", "swagger_ui", False),
    ("SERVER", "METRICS", "no", "metrics", False),
    ("SERVER", "POOL_PAGE", "yes", "pool_page", True),
    ("LIMITS", "READS_PER_ADDRESS", "1000 per 5 minutes", "reads_per_address", Rate(1000, 5, "minute")),
    ("LIMITS", "WRITES_PER_ADDRESS", "0", "writes_per_address", None),
    ("LIMITS", "READS_PER_KEY", "60/Minute", "reads_per_key", Rate(60, 1, "minute")),
    ("LIMITS", "WRITES_PER_KEY", "1/2hours", "writes_per_key", Rate(1, 2, "hour")),
    ("LIMITS", "FAILED_AUTHENTICATIONS", "5/day", "failed_authentications", Rate(5, 1, "day")),
    ("LIMITS", "STORAGE", "rediss://:pw@redis.example/1", "storage", "rediss://:pw@redis.example/1"),
    ("LIMITS", "JSON_DEPTH", "0", "json_depth", 0),
    ("SERVER", "DEADLINE", "2.5", "deadline", 2.5),
    ("SERVER", "CPU_AFFINITY", "no", "cpu_affinity", False),
    ("SERVER", "PREPARE", "no", "prepare", False),
    ("SERVER", "RETRY_READS", "no", "retry_reads", False),
    ("SERVER", "RETRY_WRITES", "no", "retry_writes", False),
    ("SERVER", "REQUIRE_IF_MATCH", "yes", "require_if_match", True),
    ("SERVER", "IDEMPOTENCY_SECONDS", "60", "idempotency_seconds", 60),
    ("SERVER", "ROWS", "dict", "rows", "dict"),
    ("BULK", "MAX_BODY", "2000", "max_body", 2000),
    ("BULK", "DEADLINE", "33", "deadline", 33.0),
    ("BULK", "BODY_TIME", "44", "body_time", 44.0),
    ("BULK", "UPLOADS", "3", "uploads", 3),
    ("BULK", "UPLOADS_PER_CALLER", "0", "uploads_per_caller", 0),
    ("BULK", "PER_OWNER", "1", "per_owner", 1),
    ("BULK", "PATIENCE", "5", "patience", 5.0),
    ("BULK", "FOLDER", "{folder}", "folder", Path("{folder}")),
    ("EMBEDDED", "DATA", "{folder}", "data", Path("{folder}")),
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("swagger_server.config.sources.CHECKOUT", tmp_path)


def write(folder: Path, text: str) -> Path:
    ini = folder / "config.ini"
    ini.write_text(text, encoding="utf-8")
    return ini


def every_key(folder: Path) -> list[tuple[str, str, str, str, Any]]:
    """EVERY_KEY with places that exist."""
    file = folder / "some.pem"
    file.touch()
    places = {"{file}": str(file), "{folder}": str(folder)}

    def placed(value: Any) -> Any:
        for place, path in places.items():
            value = type(value)(str(value).replace(place, path)) if isinstance(value, str | Path) else value
        return value

    return [
        (section, key, placed(text), field, placed(value)) for section, key, text, field, value in EVERY_KEY
    ]


def check(settings: Settings, keys: list[tuple[str, str, str, str, Any]]) -> None:
    parts = {"POSTGRES": settings.databases["default"]}
    found = [
        getattr(parts.get(section) or getattr(settings, section.lower()), field)
        for section, _, _, field, _ in keys
    ]
    assert found == [value for *_, value in keys]


def test_the_list_above_has_every_field() -> None:
    owners = (
        DatabaseSettings,
        PoolSettings,
        CorsSettings,
        ServerSettings,
        JwtSettings,
        BulkSettings,
        LimitSettings,
        EmbeddedSettings,
    )
    named = sorted(field.name for owner in owners for field in fields(owner))
    assert sorted([field for *_, field, _ in EVERY_KEY] + ["name"]) == named


def test_every_key_of_the_file_reaches_its_field(tmp_path: Path) -> None:
    keys = every_key(tmp_path)
    sections = dict.fromkeys(section for section, *_ in keys)
    text = "".join(
        f"[{section}]\n" + "".join(f"{key} = {text}\n" for of, key, text, *_ in keys if of == section)
        for section in sections
    )
    check(load_settings(write(tmp_path, text), {}), keys)


def test_every_key_of_the_environment_reaches_its_field_and_wins(tmp_path: Path) -> None:
    keys = every_key(tmp_path)
    ini = write(
        tmp_path, "[POSTGRES]\nURL = other\nPORT = 1\nPW = other\n[POOL]\nMAX = 3\n[CORS]\nMAX_AGE = 1\n"
    )
    check(load_settings(ini, {f"{section}_{key}": text for section, key, text, *_ in keys}), keys)


def test_every_key_can_be_in_a_file_that_the_environment_names(tmp_path: Path) -> None:
    keys = every_key(tmp_path)
    environ = {f"{section}_{key}_FILE": f"{section}_{key}.txt" for section, key, *_ in keys}
    for section, key, text, *_ in keys:
        Path(f"{section}_{key}.txt").write_text(f"{text}\n")
    check(load_settings(None, environ), keys)


def test_a_secret_keeps_its_spaces_and_loses_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(b" ge heim \r\n")
    settings = load_settings(None, {**OWN, "POSTGRES_PW_FILE": str(tmp_path / "pw")})
    assert settings.databases["default"].password == " ge heim "


def test_the_example_is_what_the_table_of_keys_says() -> None:
    assert EXAMPLE.read_text() == example()


def test_the_example_as_it_stands_changes_nothing() -> None:
    assert load_settings(EXAMPLE, {}) == Settings(source=EXAMPLE)


def test_the_example_with_every_key_taken_in_has_the_defaults(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()
    ini = write(
        tmp_path, "\n".join(line.removeprefix("#") if line[1:2].isupper() else line for line in lines)
    )
    loaded = read_settings(ini, {})
    sample = DatabaseSettings(name="default", host="localhost", user="places", dbname="places")
    assert loaded.settings == Settings(databases={"default": sample}, source=ini)
    unset = {
        "FOLDER",
        "PW",
        "SSLMODE",
        "SSLROOTCERT",
        "SSLCERT",
        "SSLKEY",
        "TARGET_SESSION_ATTRS",
        "BUDGET_FOLDER",
        "POOL_PAGE",
        "JWKS",
        "ISSUER",
        "AUDIENCE",
        "STORAGE",
        "DATA",
    }
    assert {item.key for item in loaded.effective if item.origin == "default"} == unset


def test_nothing_said_means_the_embedded_database(tmp_path: Path) -> None:
    settings = load_settings(None, {})
    assert settings == Settings()
    assert settings.uses_embedded
    assert load_settings(write(tmp_path, "[POSTGRES]\n[POOL]\nMAX = 3\n"), {}).uses_embedded


def test_a_named_database_alone_leaves_the_default_one_embedded(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "[POSTGRES:reports]\nURL = r\nUSER = me\nDB = d\n"), {})
    assert list(settings.databases) == ["reports"]
    assert settings.uses_embedded


def test_named_databases_come_from_file_and_environment(tmp_path: Path) -> None:
    ini = write(tmp_path, "[POSTGRES:reports]\nURL = r\nUSER = me\nDB = d\n[POSTGRES:empty]\n")
    environ = {
        **OWN,
        "POSTGRES_REPORTS_URL": "other",
        "POSTGRES_EMPTY_URL": "e",
        "POSTGRES_EMPTY_USER": "e",
        "POSTGRES_EMPTY_DB": "e",
        "POSTGRES_READ_ONLY_URL": "ro",
        "POSTGRES_READ_ONLY_USER": "ro",
        "POSTGRES_READ_ONLY_DB": "ro",
        "POSTGRES_READ_ONLY_PORT": "7",
    }
    found = {name: (item.host, item.port) for name, item in load_settings(ini, environ).databases.items()}
    assert found == {
        "default": ("db", 5432),
        "reports": ("other", 5432),
        "empty": ("e", 5432),
        "read_only": ("ro", 7),
    }


INJECTED = {
    "POSTGRES_PORT": "tcp://10.0.0.1:5432",
    "POSTGRES_PORT_5432_TCP": "tcp://10.0.0.1:5432",
    "POSTGRES_PORT_5432_TCP_ADDR": "10.0.0.1",
    "POSTGRES_PORT_5432_TCP_PORT": "5432",
    "POSTGRES_SERVICE_HOST": "10.0.0.1",
    "POSTGRES_SERVICE_PORT": "5432",
    "POSTGRES_MAIN_PORT": "tcp://10.0.0.2:5432",
    "POSTGRES_ENV_POSTGRES_USER": "postgres",
    "POSTGRES_ADMIN_USER": "root",
    "POSTGRES_EXPORTER_URL": "http://exporter",
    "POSTGRES_INITDB_ARGS": "--x",
    "SERVER_SOFTWARE": "gunicorn/27",
    "SERVER_PORT": "tcp://10.0.0.3:80",
}


def test_variables_of_others_change_nothing() -> None:
    assert load_settings(None, INJECTED) == Settings()
    assert load_settings(None, {**OWN, **INJECTED}) == load_settings(None, OWN)


def test_an_injected_port_leaves_the_files_port_in_force(tmp_path: Path) -> None:
    ini = write(tmp_path, "[POSTGRES]\nURL = db\nUSER = me\nDB = d\nPORT = 6432\n")
    assert load_settings(ini, INJECTED).databases["default"].port == 6432


def test_look_alikes_in_the_environment_are_noted_without_their_value() -> None:
    environ = {**OWN, **INJECTED, "POSTGRES_PASSWORD": "geheim", "POOL_MAXX": "3"}
    assert read_settings(None, environ).notes == (
        "environment variable POOL_MAXX is no setting; did you mean POOL_MAX?",
        "environment variable POSTGRES_PASSWORD is no setting; did you mean POSTGRES_PW?",
        "environment variable POSTGRES_PORT holds no port but what an orchestrator put there: ignored",
    )


def test_an_empty_variable_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    ini = write(tmp_path, "[POOL]\nMAX = 3\n")
    assert load_settings(ini, {"POOL_MAX": "", "POSTGRES_URL": "", "SWAGGER_SERVER_CONFIG": ""}).pool.max == 3


def test_no_origin_is_a_setting_of_its_own(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "[CORS]\nORIGINS =\n"), {}).cors.origins == ()


def test_origins_may_stand_on_several_lines(tmp_path: Path) -> None:
    ini = write(tmp_path, "[CORS]\nORIGINS =\n  https://a.example\n  https://b.example\n")
    assert load_settings(ini, {}).cors.origins == ("https://a.example", "https://b.example")


def test_windows_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_bytes(b"\xef\xbb\xbf[POOL]\r\nmax = 4\r\n")
    assert load_settings(None, {}).pool.max == 4


def test_the_current_folders_file_comes_before_the_checkouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, current = tmp_path / "checkout", tmp_path / "current"
    for number, folder in enumerate((checkout, current), start=3):
        folder.mkdir()
        write(folder, f"[POOL]\nMAX = {number}\n")
    monkeypatch.setattr("swagger_server.config.sources.CHECKOUT", checkout)
    assert load_settings(None, {}).source == checkout / "config.ini"
    monkeypatch.chdir(current)
    assert load_settings(None, {}).source == current / "config.ini"
    named = {"SWAGGER_SERVER_CONFIG": "../checkout/config.ini"}
    assert load_settings(None, named).pool.max == 3


def test_certificates_are_looked_for_beside_the_file_that_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "ca.pem").touch()
    ini = write(folder, "[POSTGRES]\nURL = db\nUSER = me\nDB = d\nSSLROOTCERT = ca.pem\n")
    assert load_settings(ini, {}).databases["default"].sslrootcert == str(folder / "ca.pem")


def test_secrets_are_in_no_repr_and_in_no_listing() -> None:
    loaded = read_settings(None, {**OWN, "POSTGRES_PW": "geheim"})
    assert "geheim" not in repr(loaded)
    assert [item.value for item in loaded.effective if item.key == "PW"] == ["*****"]


def test_connect_arguments_have_only_what_is_set() -> None:
    settings = load_settings(None, {**OWN, "POSTGRES_PW": "geheim", "POSTGRES_SSLMODE": "require"})
    assert settings.databases["default"].connect_kwargs() == {
        "host": "db",
        "port": 5432,
        "user": "me",
        "password": "geheim",
        "dbname": "places",
        "sslmode": "require",
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"POSTGRES_URL": "a"}, None),
        ({"POSTGRES_URL": "a,b"}, "read-write"),
        ({"POSTGRES_URL": "a,b", "POSTGRES_READ_ONLY": "yes"}, "prefer-standby"),
        ({"POSTGRES_URL": "a,b", "POSTGRES_TARGET_SESSION_ATTRS": "any"}, "any"),
        ({"POSTGRES_URL": "a", "POSTGRES_TARGET_SESSION_ATTRS": "primary"}, "primary"),
    ],
)
def test_of_several_hosts_one_that_writes_is_wanted_unless_said_otherwise(
    given: dict[str, str], sent: str | None
) -> None:
    arguments = load_settings(None, {**OWN, **given}).databases["default"].connect_kwargs()
    assert arguments.get("target_session_attrs") == sent
    assert "read_only" not in arguments


def test_the_section_that_is_read_only_is_the_replica(tmp_path: Path) -> None:
    more = "[POSTGRES:reports]\nURL = r\nUSER = me\nDB = d\n"
    replica = "[POSTGRES:standby]\nURL = s\nUSER = me\nDB = d\nREAD_ONLY = yes\n"
    assert load_settings(write(tmp_path, more), OWN).replica is None
    assert load_settings(write(tmp_path, more + replica), OWN).replica == "standby"
    assert load_settings(write(tmp_path, more), {**OWN, "POSTGRES_READ_ONLY": "yes"}).replica is None


def test_the_listing_tells_where_each_setting_is_from(tmp_path: Path) -> None:
    ini = write(tmp_path, "[POOL]\nMIN = 2\nMAX = 3\n")
    found = {(item.section, item.key): (item.value, item.origin) for item in
             read_settings(ini, {"POOL_MAX": "9"}).effective}  # fmt: skip
    assert found["POOL", "MIN"] == ("2", "config.ini")
    assert found["POOL", "MAX"] == ("9", "POOL_MAX")
    assert found["POOL", "TIMEOUT"] == ("5", "default")
