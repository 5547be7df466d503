"""The request that is being answered: what others must know of it, whoever serves it.

Kept in the context, so that whoever works for the request finds it without Flask and without WSGI's environ, and
in the environ, for code that took Flask's request to a thread of its own.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from swagger_server.cancellation import Cancellation
from swagger_server.timings import Timings

ENVIRON_KEY = "swagger_server.under_way"


class UnderWay:
    """A request: its method, where its time goes, and the ways to end what it does."""

    __slots__ = (
        "app",
        "cancellation",
        "has_committed",
        "method",
        "more_headers",
        "needs_primary",
        "path",
        "quotas",
        "request_id",
        "timings",
    )

    def __init__(self, method: str) -> None:
        self.method = method
        self.path: str | None = None
        """Where it is told, for those who look on."""
        self.request_id: str | None = None
        """What the log calls it; None where nobody has given it a name."""
        self.timings: Timings = {}
        self.cancellation = Cancellation()
        self.needs_primary = False
        """Whether a replica has failed it: what it reads is to come from the primary."""
        self.app: Any = None
        """The Flask app that it is for, for what works for it before the app's context is there."""
        self.has_committed = False
        """Whether something that it did cannot be undone any more: it must not be run again."""
        self.more_headers: list[tuple[str, str]] | None = None
        """Headers for whatever will be the answer, an error as well."""
        self.quotas: Sequence[Any] = ()
        """What its caller may still ask for, in whose ever words."""

    @property
    def operation(self) -> str | None:
        """The operation that answers it, where it is known, for those who look on."""
        return None

    def header(self, _name: str) -> str | None:
        """One header by its lower-case name; None where there is none, or nothing is known of them."""
        return None


class _OfEnviron(UnderWay):
    """A request that only WSGI's environ knows of."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        super().__init__(environ.get("REQUEST_METHOD", ""))
        self._environ = environ

    def header(self, name: str) -> str | None:
        value: str | None = self._environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return value


current: ContextVar[UnderWay | None] = ContextVar("under_way", default=None)
"""The request that this context works for; None where nobody has said."""


def of(environ: Mapping[str, Any]) -> UnderWay:
    """The request that an environ is of; one that nobody asks about where the server has put none into it."""
    found: UnderWay | None = environ.get(ENVIRON_KEY)
    return found or _OfEnviron(environ)
