"""Where the time of a request went: seconds by name.

Whoever does something worth measuring adds to it ("pool" for waiting for a connection, "sql" for
statements); the log and the Server-Timing header say it.
"""

Timings = dict[str, float]


def add(timings: Timings, name: str, seconds: float) -> None:
    """Add `seconds` to what is noted under `name`."""
    timings[name] = timings.get(name, 0.0) + seconds
