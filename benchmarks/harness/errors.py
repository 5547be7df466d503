"""What ends a run with one line."""


class BenchmarkError(Exception):
    """The run cannot go on, or what it measured is worth nothing; the message says why."""
