"""What can be wrong with a request's body, or with reading it: it is refused before any handler runs."""

from collections.abc import Collection

ANNOUNCING = frozenset({b"content-length", b"transfer-encoding"})
"""The headers that say that there is a body."""


class BodyFault(Exception):
    """What is wrong with a request's body, or with reading it."""


class BodyTooLarge(BodyFault):
    """The request's body is longer than the `limit`, in bytes; the rest of it is not read."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.")
        self.limit = limit


class BodyIncomplete(BodyFault):
    """The client announced a longer body than it sent."""

    def __init__(self) -> None:
        super().__init__("The request body ended before its announced length.")


class BodyStalled(BodyFault):
    """The client sent nothing more of its body for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Nothing more of the request body came within {seconds:g} s.")


class BodyTooSlow(BodyStalled):
    """The client had not sent all of its body after `seconds`."""

    def __init__(self, seconds: float) -> None:
        Exception.__init__(self, f"Not all of the request body came within {seconds:g} s.")


class NoRoomForBody(BodyFault):
    """The disk had no room for the body, or there was no other way to write it down."""

    def __init__(self) -> None:
        super().__init__("There is no room for the request body at the moment.")


def announced_length(headers: Collection[tuple[bytes, bytes]]) -> int:
    """The length of a body by its header, in bytes; 0 where it is not said. Names are in lower case."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def may_be_lost(headers: Collection[tuple[bytes, bytes]]) -> bool:
    """Whether a server may take the body for another protocol, and say that there is none, as uvicorn does."""
    names = {name for name, _ in headers}
    return b"upgrade" in names and (b"transfer-encoding" in names or announced_length(headers) > 0)


def is_incomplete(headers: Collection[tuple[bytes, bytes]], length: int) -> bool:
    """Whether less than was announced has come, where the server says that this was all."""
    return length < announced_length(headers) or (not length and may_be_lost(headers))
