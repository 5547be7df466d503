"""Cross-origin requests: which web pages may read the answers. The one place that decides.

flask-cors makes the decisions; they are applied from out here so that errors made before the Flask
app is reached carry the headers too.
"""

import functools
from collections.abc import Iterable

from flask_cors.core import DEFAULT_OPTIONS, get_cors_headers, serialize_options
from werkzeug.datastructures import EnvironHeaders, Headers

from swagger_server import request_id
from swagger_server.config import CorsSettings
from swagger_server.serving import Request, Response

EXPOSED = (
    "Content-Disposition",
    "ETag",
    "Link",
    "Location",
    "Retry-After",
    "Server-Timing",
    "WWW-Authenticate",
    request_id.HEADER,
)
"""The headers that a page of another origin may read, beyond those that browsers always show."""


class Cors:
    """The decisions of one configuration; `exposed` are headers that other modules answer with."""

    def __init__(self, settings: CorsSettings, exposed: Iterable[str] = ()) -> None:
        self._options = serialize_options(
            {
                **DEFAULT_OPTIONS,
                "origins": list(settings.origins),
                "max_age": settings.max_age,
                "supports_credentials": settings.credentials,
                "expose_headers": ", ".join(sorted((*EXPOSED, *exposed))),
                "send_wildcard": not settings.credentials,
                "always_send": settings.origins == ("*",),
            }
        )
        # But for a preflight the decision depends on the origin alone.
        self._headers_for = functools.lru_cache(maxsize=256)(
            lambda origin: self._decide(Headers({"Origin": origin} if origin else {}), "GET")
        )
        self._varies = settings.origins != ("*",) or settings.credentials

    def apply(self, request: Request, method: str, response: Response) -> None:
        """Add the headers that a page of the request's origin needs, if it may read the answer."""
        if method == "OPTIONS":
            headers = self._decide(Headers(EnvironHeaders(request.environ)), method)
        else:
            headers = self._headers_for(request.header("origin"))
        response.headers.update(headers)
        if self._varies:
            response.vary("Origin")

    def _decide(self, headers: Headers, method: str) -> dict[str, str]:
        decided = get_cors_headers(self._options, headers, method)
        return {name.lower(): str(value) for name, value in decided.items() if name != "Vary"}
