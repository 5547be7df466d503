"""Cross-origin requests: which web pages may read the answers. The one place that decides.

flask-cors makes the decisions; they are applied from out here so that errors made before the Flask
app is reached carry the headers too.
"""

from flask_cors.core import DEFAULT_OPTIONS, get_cors_headers, serialize_options
from werkzeug.datastructures import EnvironHeaders

from swagger_server.config import CorsSettings
from swagger_server.serving import Request, Response

EXPOSED = "Content-Disposition, ETag, Link, Location, Retry-After, Server-Timing, X-Request-ID"
"""The headers that a page of another origin may read, beyond those that browsers always show."""


class Cors:
    """The decisions of one configuration."""

    def __init__(self, settings: CorsSettings) -> None:
        self._options = serialize_options(
            {
                **DEFAULT_OPTIONS,
                "origins": list(settings.origins),
                "max_age": settings.max_age,
                "supports_credentials": settings.credentials,
                "expose_headers": EXPOSED,
                "send_wildcard": not settings.credentials,
                "always_send": settings.origins == ("*",),
            }
        )
        self._varies = settings.origins != ("*",) or settings.credentials

    def apply(self, request: Request, method: str, response: Response) -> None:
        """Add the headers that a page of the request's origin needs, if it may read the answer."""
        for name, value in get_cors_headers(self._options, EnvironHeaders(request.environ), method).items():
            if name != "Vary":
                response.set_header(name, str(value))
        if self._varies:
            response.vary("Origin")
