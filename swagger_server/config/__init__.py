"""Settings: config.ini and the environment become frozen dataclasses, or one line that says what is wrong.

Every key is declared once, on its dataclass field in `settings.py`; parsing, error lines, `check-config` and
the check of `config.ini.example` follow from there. Nothing here knows of the pool, Flask or the database.
"""

from swagger_server.config.errors import ConfigError
from swagger_server.config.example import example
from swagger_server.config.kinds import Rate
from swagger_server.config.load import Effective, Loaded, load_settings, read_settings
from swagger_server.config.settings import (
    BulkSettings,
    CorsSettings,
    DatabaseSettings,
    EmbeddedSettings,
    JwtSettings,
    LimitSettings,
    PoolSettings,
    ServerSettings,
    Settings,
)

__all__ = [
    "BulkSettings",
    "ConfigError",
    "CorsSettings",
    "DatabaseSettings",
    "Effective",
    "EmbeddedSettings",
    "JwtSettings",
    "LimitSettings",
    "Loaded",
    "PoolSettings",
    "Rate",
    "ServerSettings",
    "Settings",
    "example",
    "load_settings",
    "read_settings",
]
