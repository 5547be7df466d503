"""Every way of getting the settings wrong gives one line that says where, what, and what is allowed."""

from pathlib import Path

import pytest

from swagger_server.config import ConfigError, load_settings

DATABASE = "[POSTGRES]\nURL = db\nUSER = me\nDB = places\n"
HOSTS = "a host name, an address, a socket folder, or several separated by commas"
POSTGRES_KEYS = (
    "URL, USER, DB, PORT, PW, SSLMODE, SSLROOTCERT, SSLCERT, SSLKEY, TARGET_SESSION_ATTRS, READ_ONLY"
)
POOL_KEYS = (
    "MIN, MAX, TIMEOUT, MAX_WAITING, MAX_IDLE, MAX_LIFETIME, OUTAGE_GRACE, QUERY_TIMEOUT, RESET, LEAK_AFTER, BUDGET,"
    " BUDGET_FOLDER"
)
SECTIONS = "[POSTGRES], [POOL], [CORS], [SERVER], [JWT], [BULK], [LIMITS], [EMBEDDED], [POSTGRES:name]"
NAMES = "lower-case letters, digits and _, a letter first, and not default"

RATE = "a rate such as 100/second or 1000/5minutes (second, minute, hour, day); 0 for none"

IN_FILE = [
    ("[LIMITS]\nREADS_PER_KEY = many", f"{{ini}}: [LIMITS] READS_PER_KEY = 'many': must be {RATE}"),
    ("[LIMITS]\nREADS_PER_KEY = 5/0s", f"{{ini}}: [LIMITS] READS_PER_KEY = '5/0s': must be {RATE}"),
    (
        "[LIMITS]\nREADS_PER_KEY = 5/0 seconds",
        f"{{ini}}: [LIMITS] READS_PER_KEY = '5/0 seconds': must be {RATE}",
    ),
    ("[LIMITS]\nREADS_PER_KEY = -5/second", f"{{ini}}: [LIMITS] READS_PER_KEY = '-5/second': must be {RATE}"),
    (
        "[LIMITS]\nSTORAGE = memcached://:geheim@localhost",
        "{ini}: [LIMITS] STORAGE: must be an address such as redis://host:6379/0,"
        " or rediss:// for one that is encrypted",
    ),
    ("[POOL]\nMAX = many", "{ini}: [POOL] MAX = 'many': must be a whole number from 1 to 1000 (connections)"),
    ("[POOL]\nMAX = 0", "{ini}: [POOL] MAX = '0': must be a whole number from 1 to 1000 (connections)"),
    ("[POOL]\nMAX = 1_0", "{ini}: [POOL] MAX = '1_0': must be a whole number from 1 to 1000 (connections)"),
    ("[POOL]\nMAX = ٣", "{ini}: [POOL] MAX = '٣': must be a whole number from 1 to 1000 (connections)"),
    ("[POOL]\nMAX =", "{ini}: [POOL] MAX = '': must be a whole number from 1 to 1000 (connections)"),
    ("[POOL]\nTIMEOUT = 5s", "{ini}: [POOL] TIMEOUT = '5s': must be a number from 0 to 3600 (seconds)"),
    ("[POOL]\nTIMEOUT = nan", "{ini}: [POOL] TIMEOUT = 'nan': must be a number from 0 to 3600 (seconds)"),
    ("[POOL]\nTIMEOUT = 1_0", "{ini}: [POOL] TIMEOUT = '1_0': must be a number from 0 to 3600 (seconds)"),
    ("[POOL]\nTIMEOUT = ٣", "{ini}: [POOL] TIMEOUT = '٣': must be a number from 0 to 3600 (seconds)"),
    ("[POOL]\nTIMEOUT = inf", "{ini}: [POOL] TIMEOUT = 'inf': must be a number from 0 to 3600 (seconds)"),
    ("[POOL]\nTIMEOUT = -1", "{ini}: [POOL] TIMEOUT = '-1': must be a number from 0 to 3600 (seconds)"),
    (
        "[POOL]\nMIN = 9\nMAX = 3",
        "{ini}: [POOL] MIN = 9: must not be more than MAX, which is 3 ({ini}: [POOL] MAX)",
    ),
    (
        "[POOL]\nMIN = 30",
        "{ini}: [POOL] MIN = 30: must not be more than MAX, which is 20 (default of [POOL] MAX)",
    ),
    (
        "[POSTGRES:standby]\nURL = s\nUSER = me\nDB = d\nREAD_ONLY = yes",
        "{ini}: [POSTGRES:standby] READ_ONLY = yes: [POSTGRES] must then name the server that it is a replica of",
    ),
    (
        DATABASE
        + "[POSTGRES:one]\nURL = s\nUSER = me\nDB = d\nREAD_ONLY = yes\n"
        + "[POSTGRES:two]\nURL = s\nUSER = me\nDB = d\nREAD_ONLY = yes",
        "{ini}: [POSTGRES:two] READ_ONLY = yes: must be so in one section only, and is in [POSTGRES:one];"
        " its URL may have several hosts",
    ),
    ("[POOL]\nRESET = smrt", "{ini}: [POOL] RESET = 'smrt': must be smart, always or never"),
    (
        "[POOL]\nMAXX = 3",
        f"{{ini}}: [POOL] MAXX is no setting; it must be one of {POOL_KEYS}; did you mean MAX?",
    ),
    (
        DATABASE + "PASSWORD = geheim",
        f"{{ini}}: [POSTGRES] PASSWORD is no setting; it must be one of {POSTGRES_KEYS}; did you mean PW?",
    ),
    ("[POL]\nMAX = 3", f"{{ini}}: [POL] is no section; it must be one of {SECTIONS}; did you mean [POOL]?"),
    (
        "[POSTGERS]",
        f"{{ini}}: [POSTGERS] is no section; it must be one of {SECTIONS}; did you mean [POSTGRES]?",
    ),
    ("[DEFAULT]\nMAX = 3", f"{{ini}}: [DEFAULT] is no section; it must be one of {SECTIONS}"),
    (
        "[POSTGRES]\nUSER = me\nDB = places",
        "[POSTGRES] URL is missing: it must be set in {ini} or as environment variable POSTGRES_URL, to "
        + HOSTS,
    ),
    (
        "[POSTGRES]\nURL = db\nUSER =\nDB = places",
        "[POSTGRES] USER is missing: it must be set in {ini} or as environment variable POSTGRES_USER,"
        " to UTF-8 text on one line",
    ),
    (
        "[POSTGRES:reports]\nURL = db\nUSER = me",
        "[POSTGRES:reports] DB is missing: it must be set in {ini} or as environment variable"
        " POSTGRES_REPORTS_DB, to the name of a database, not a connection string",
    ),
    ("[POSTGRES:Reports]", f"{{ini}}: [POSTGRES:Reports]: the name after POSTGRES: must be {NAMES}"),
    ("[POSTGRES:default]", f"{{ini}}: [POSTGRES:default]: the name after POSTGRES: must be {NAMES}"),
    (
        DATABASE.replace("= db", "= postgres://me:geheim@db/places"),
        f"{{ini}}: [POSTGRES] URL: must be {HOSTS}, not a connection string;"
        " PORT, USER, PW and DB are keys of their own",
    ),
    (
        DATABASE.replace("= db", "= db:5433"),
        f"{{ini}}: [POSTGRES] URL: must be {HOSTS}, without a port; the port is the key PORT",
    ),
    (DATABASE.replace("= db", "= a,,b"), f"{{ini}}: [POSTGRES] URL: must be {HOSTS}"),
    (DATABASE.replace("= db", "= db\n  PORT = 5"), f"{{ini}}: [POSTGRES] URL: must be {HOSTS}"),
    (
        DATABASE.replace("= places", "= host=evil password=geheim"),
        "{ini}: [POSTGRES] DB: must be the name of a database, not a connection string",
    ),
    (
        DATABASE + "PORT = 70000",
        "{ini}: [POSTGRES] PORT = '70000': must be a port from 1 to 65535,"
        " or one for each host separated by commas",
    ),
    (
        DATABASE + "PORT = 1,2",
        "{ini}: [POSTGRES] PORT: must be one port, or one for each host: URL has 1, PORT has 2",
    ),
    (
        DATABASE + "SSLMODE = on",
        "{ini}: [POSTGRES] SSLMODE = 'on': must be disable, allow, prefer, require, verify-ca or verify-full",
    ),
    (
        DATABASE + "SSLROOTCERT = ca.pem",
        "{ini}: [POSTGRES] SSLROOTCERT = 'ca.pem': must be system or the path of a file that can be read;"
        " there is no file '{folder}/ca.pem'",
    ),
    (DATABASE + "PW = a\n  geheim", "{ini}: [POSTGRES] PW: must be UTF-8 text on one line"),
    (
        "[CORS]\nORIGINS = https://a.example/",
        "{ini}: [CORS] ORIGINS = 'https://a.example/':"
        " must be * or origins such as https://app.example:8443, separated by commas",
    ),
    *(
        (
            f"[CORS]\nORIGINS = {origin}",
            f"{{ini}}: [CORS] ORIGINS = '{origin}':"
            " must be * or origins such as https://app.example:8443, separated by commas",
        )
        for origin in ("https://*.example", "https://me@a.example", "a.example", "https://a.example/x?y")
    ),
    (
        "[CORS]\nORIGINS = *, https://a.example",
        "{ini}: [CORS] ORIGINS = '*, https://a.example': must be * alone or a list of origins, not both",
    ),
    (
        "[CORS]\nCREDENTIALS = yes",
        "{ini}: [CORS] CREDENTIALS = yes: ORIGINS must then name the origins instead of *",
    ),
    (
        "[JWT]\nJWKS = https://login.example/jwks\nISSUER = https://login.example",
        "{ini}: [JWT] JWKS: [JWT] AUDIENCE must then be set as well",
    ),
    (
        "[JWT]\nJWKS = https://login.example/jwks\nAUDIENCE = places",
        "{ini}: [JWT] JWKS: [JWT] ISSUER must then be set as well",
    ),
    (
        "[JWT]\nJWKS = ftp://geheim@login.example/jwks",
        "{ini}: [JWT] JWKS: must be an http or https URL, or the path of a file that can be read",
    ),
    (
        "[JWT]\nJWKS = {folder}/jwks.json",
        "{ini}: [JWT] JWKS: must be the path of a file that can be read; there is no file '{folder}/jwks.json'",
    ),
    ("[JWT]\nLEEWAY = 301", "{ini}: [JWT] LEEWAY = '301': must be a number from 0 to 300 (seconds)"),
    ("[CORS]\nCREDENTIALS = ja", "{ini}: [CORS] CREDENTIALS = 'ja': must be yes or no"),
    (
        "[SERVER]\nLOG_LEVEL = LOUD",
        "{ini}: [SERVER] LOG_LEVEL = 'LOUD': must be DEBUG, INFO, WARNING, ERROR or CRITICAL",
    ),
    (
        "[EMBEDDED]\nDATA = config.ini",
        "{ini}: [EMBEDDED] DATA = 'config.ini': must be the path of a folder; '{ini}' is none",
    ),
    ("MAX = 3", "{ini}, line 1: there must be a [SECTION] before the first key"),
    ("[POOL]\nMAX 3", "{ini}, line 2: must be KEY = value, [SECTION] or # comment"),
    ("[POOL]\nMAX = 3\nmax = 4", "{ini}, line 3: [POOL] MAX must be there only once"),
    ("[POOL]\n[CORS]\n[POOL]", "{ini}, line 3: section [POOL] must be there only once"),
]

OWN = {"POSTGRES_URL": "db", "POSTGRES_USER": "me", "POSTGRES_DB": "places"}

IN_ENVIRONMENT = [
    (
        {"POOL_MAX": "a\nb"},
        r"environment variable POOL_MAX ([POOL] MAX) = 'a\nb':"
        " must be a whole number from 1 to 1000 (connections)",
    ),
    (
        {"POOL_MIN": "5", "POOL_MAX": "4"},
        "environment variable POOL_MIN ([POOL] MIN) = 5: must not be more than MAX,"
        " which is 4 (environment variable POOL_MAX ([POOL] MAX))",
    ),
    (
        {"POSTGRES_USER": "me"},
        "[POSTGRES] URL is missing: it must be set in config.ini or as environment variable POSTGRES_URL, to "
        + HOSTS,
    ),
    (
        {"POSTGRES_URL": "postgres://me:geheim@db/places"},
        f"environment variable POSTGRES_URL ([POSTGRES] URL): must be {HOSTS}, not a connection string;"
        " PORT, USER, PW and DB are keys of their own",
    ),
    (
        {**OWN, "POSTGRES_PORT": "x"},
        "environment variable POSTGRES_PORT ([POSTGRES] PORT) = 'x': must be a port from 1 to 65535,"
        " or one for each host separated by commas",
    ),
    (
        {**OWN, "POSTGRES_PW": "geheim\udcff"},
        "environment variable POSTGRES_PW ([POSTGRES] PW): must be UTF-8 text on one line",
    ),
    (
        {**OWN, "POSTGRES_PW": "geheim", "POSTGRES_PW_FILE": "f"},
        "environment variables POSTGRES_PW and POSTGRES_PW_FILE: only one of them may be set",
    ),
    (
        {**OWN, "POSTGRES_PW_FILE": "/no/such"},
        "environment variable POSTGRES_PW_FILE ([POSTGRES] PW): /no/such:"
        " cannot be read: No such file or directory",
    ),
    (
        {"SWAGGER_SERVER_CONFIG": "/no/such.ini"},
        "/no/such.ini: there is no such settings file (named by environment variable SWAGGER_SERVER_CONFIG)",
    ),
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("swagger_server.config.sources.CHECKOUT", tmp_path)


def refusal(path: Path | None = None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        load_settings(path, environ or {})
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return str(refused.value)


@pytest.mark.parametrize(("text", "line"), IN_FILE, ids=[line[:60] for _, line in IN_FILE])
def test_a_wrong_file_gives_one_line(tmp_path: Path, text: str, line: str) -> None:
    ini = tmp_path / "config.ini"
    places = {"{ini}": str(ini), "{folder}": str(tmp_path)}
    for place, path in places.items():
        text, line = text.replace(place, path), line.replace(place, path)
    ini.write_text(text, encoding="utf-8")
    found = refusal(ini)
    assert found == line
    assert "geheim" not in found


@pytest.mark.parametrize(
    ("environ", "line"), IN_ENVIRONMENT, ids=[" ".join(env) for env, _ in IN_ENVIRONMENT]
)
def test_a_wrong_environment_gives_one_line(environ: dict[str, str], line: str) -> None:
    found = refusal(environ=environ)
    assert found == line
    assert "geheim" not in found


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    ini = tmp_path / "config.ini"
    ini.write_bytes(b"[POSTGRES]\nPW = geheim\xff\n")
    assert refusal(ini) == f"{ini}: must be UTF-8 text, but byte 22 is not"


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.ini").mkdir()
    assert refusal() == f"{tmp_path}/config.ini: cannot be read: Is a directory"


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    assert refusal(tmp_path / "other.ini") == f"{tmp_path}/other.ini: there is no such settings file"


def test_a_line_end_in_a_name_stays_in_the_line(tmp_path: Path) -> None:
    ini = tmp_path / "config.ini"
    ini.write_text("[PO\x1b[31mOL]")
    assert refusal(ini).startswith(rf"{ini}: [PO\x1b[31mOL] is no section")
