"""The one error of the embedded server."""


class EmbeddedError(Exception):
    """The embedded server cannot run here. `str()` is one line for the person at the terminal."""
