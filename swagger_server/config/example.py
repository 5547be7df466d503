"""config.ini.example, written from the table of keys, so that the two cannot disagree."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from swagger_server.config.settings import POSTGRES, SECTIONS, Key, keys_of

HEAD = """\
# Settings of swagger_server. Copy this file to config.ini and take the # away where you want another value.
#
# config.ini is looked for in the current folder, then beside the package in the checkout;
# SWAGGER_SERVER_CONFIG names another file. Variables SECTION_KEY come before the file (POOL_MAX=10), and
# SECTION_KEY_FILE names a file that holds the value (POSTGRES_PW_FILE=/run/secrets/pw).
# `python -m swagger_server check-config` shows what holds and where it came from.
"""

SECTION_COMMENTS: Mapping[str, str] = MappingProxyType(
    {
        POSTGRES: "The database. Without any key here the service starts a PostgreSQL of its own.\n"
        "# More databases are sections [POSTGRES:name], in the environment POSTGRES_NAME_KEY;\n"
        "# one with READ_ONLY = yes takes the reads of this one.",
        "POOL": "Each worker has a pool of connections for each database.",
        "CORS": "Web apps on other origins.",
        "SERVER": "Answers and logs.",
        "JWT": "Bearer tokens, beside API keys: signed by RS256 or ES256, with the claims exp, iss and aud.",
        "BULK": "Requests with bodies too large for memory, as imports are.",
        "LIMITS": "How much one caller may ask for.",
        "EMBEDDED": "The PostgreSQL that the service starts while [POSTGRES] is empty.",
    }
)

# The keys without a default are shown with these.
SAMPLES: Mapping[str, str] = MappingProxyType({"URL": "localhost", "USER": "places", "DB": "places"})


def example() -> str:
    """The text of config.ini.example: every key with its default, commented out."""
    return "\n".join([HEAD, *(_section(name) for name in SECTIONS)])


def _section(name: str) -> str:
    keys = keys_of(SECTIONS[name]).values()
    return "\n".join(
        [f"# {SECTION_COMMENTS[name]}", f"[{name}]", *(line for key in keys for line in _lines(key))]
    )


def _lines(key: Key) -> Iterator[str]:
    value = SAMPLES[key.name] if key.required else key.kind.show(key.default)
    default = "Required" if key.required else f"Default: {value or 'unset'}"
    unit = f" ({key.unit})" if key.unit else ""
    yield f"# {key.comment}"
    yield f"# {default}. Allowed: {key.kind.allowed}{unit}."
    yield f"#{key.name} = {value}".rstrip()
    yield ""
