"""The status line of a WSGI answer."""

from http import HTTPStatus


def reason(status: int) -> str:
    """The standard phrase of a status, as in "Not Found"; "Unknown" for a number of no standard."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def status_line(status: int) -> str:
    """As start_response wants it: "404 Not Found"."""
    return f"{status} {reason(status)}"
