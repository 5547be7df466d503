"""Where the time of a request went: seconds by name, kept in its environ.

Whoever does something worth measuring adds to it ("pool" for waiting for a connection, "sql" for
statements); the log and the Server-Timing header say it.
"""

from collections.abc import Mapping
from typing import Any

ENVIRON_KEY = "swagger_server.timings"

Timings = dict[str, float]


def of(environ: Mapping[str, Any]) -> Timings:
    """The request's timings; a dict that nobody reads where the environ has none."""
    timings: Timings = environ.get(ENVIRON_KEY, {})
    return timings


def add(timings: Timings, name: str, seconds: float) -> None:
    """Add `seconds` to what is noted under `name`."""
    timings[name] = timings.get(name, 0.0) + seconds
