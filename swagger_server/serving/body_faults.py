"""What can be wrong with a request's body, or with reading it: it is refused before any handler runs."""


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
