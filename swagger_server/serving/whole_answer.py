"""Flask's response in one piece, made in a few steps: Werkzeug's own making works out again what is known already."""

from collections.abc import Mapping
from functools import cache

from flask import Response
from werkzeug.datastructures import Headers


class WholeAnswer(Response):
    """What `Response(body, status, headers, content_type=content_type)` is.

    `headers` have neither type nor length; ValueError for one with a line break.
    """

    def __init__(
        self, body: bytes, status: int, content_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        # Not the base class's: it would take longer than most controllers. These are all the attributes that it sets.
        self.headers = Headers(headers)
        self.headers._list += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        self._status, self._status_code = _status(status)
        self.direct_passthrough = False
        self._on_close = []
        self.response = [body]


@cache
def _status(code: int) -> tuple[str, int]:
    response = Response(status=code)
    return response.status, response.status_code
