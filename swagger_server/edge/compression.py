"""gzip for answers that are worth it and clients that ask for it."""

import gzip

from werkzeug.http import parse_accept_header

from swagger_server.serving import Request, Response

_LEVEL = 5
"""zlib's level: three quarters of the default 9's time for a few per cent more bytes."""

_COMPRESSIBLE = (
    "text/",
    "application/json",
    "application/problem+json",
    "application/javascript",
    "image/svg+xml",
)


def offer(response: Response, minimum: int) -> bool:
    """Whether the body is worth compressing: whole, at least `minimum` bytes (0: never), of a kind that
    shrinks. Says so in Vary, also to the clients that do not ask for it."""
    whole = response.whole
    if not minimum or whole is None or len(whole) < minimum or response.header("content-encoding"):
        return False
    if not (response.header("content-type") or "").startswith(_COMPRESSIBLE):
        return False
    response.vary("Accept-Encoding")
    return True


def compress(request: Request, response: Response) -> None:
    """Compress the body if the client asks for gzip."""
    if _accepts_gzip(request.header("accept-encoding")):
        body = gzip.compress(b"".join(response.body), _LEVEL, mtime=0)
        response.body = [body]
        response.set_header("Content-Encoding", "gzip")
        response.set_header("Content-Length", str(len(body)))
        etag = response.header("etag")
        if etag is not None and not etag.startswith("W/"):
            # A strong tag promises the same bytes, and these are others.
            response.set_header("ETag", f"W/{etag}")


def _accepts_gzip(header: str | None) -> bool:
    if not header or "gzip" not in header:
        return False
    return parse_accept_header(header).quality("gzip") > 0
