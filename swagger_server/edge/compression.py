"""gzip for answers that are worth it and clients that ask for it."""

import gzip
from functools import lru_cache

from werkzeug.http import parse_accept_header

from swagger_server.serving import Request, Response

_LEVEL = 5
"""zlib's level: three quarters of the default 9's time for a few per cent more bytes."""

_LONGEST_KNOWN = 200
"""Characters of an Accept-Encoding that is remembered: browsers have few, and none as long."""

_COMPRESSIBLE = (
    "text/",
    "application/json",
    "application/problem+json",
    "application/javascript",
    "image/svg+xml",
)


def offer(request: Request, response: Response, minimum: int) -> bool:
    """Whether to compress the body: the client asks for it, and it is worth it.

    That it is takes a whole body of at least `minimum` bytes (0: never) and of a kind that shrinks; Vary
    says so, also to the clients that do not ask. The ETag becomes that of the compressed body.
    """
    if response.status == 304:
        if minimum and _accepts_gzip(request.header("accept-encoding")):
            _repeat_weak_tag(request, response)
        return False
    if not _is_worth_it(response, minimum):
        return False
    response.vary("Accept-Encoding")
    if not _accepts_gzip(request.header("accept-encoding")):
        return False
    _weaken_tag(response)
    return True


def compress(response: Response) -> None:
    """Compress the body."""
    body = gzip.compress(b"".join(response.body), _LEVEL, mtime=0)
    response.body = [body]
    response.set_header("content-encoding", "gzip")


def _is_worth_it(response: Response, minimum: int) -> bool:
    whole = response.whole
    if not minimum or whole is None or len(whole) < minimum or response.header("content-encoding"):
        return False
    if response.status == 206 or response.header("content-range"):
        # The bytes of the range are those of the plain body.
        return False
    return (response.header("content-type") or "").startswith(_COMPRESSIBLE)


def _weaken_tag(response: Response) -> None:
    etag = response.header("etag")
    if etag is not None and not etag.startswith("W/"):
        # A strong tag promises the same bytes, and these are others.
        response.set_header("etag", f"W/{etag}")


def _repeat_weak_tag(request: Request, response: Response) -> None:
    """Give a 304 that was made further in the weak tag, if that is what the client was given."""
    etag = response.header("etag")
    if etag is not None and f"W/{etag}" in (request.header("if-none-match") or ""):
        response.vary("Accept-Encoding")
        _weaken_tag(response)


def _accepts_gzip(header: str | None) -> bool:
    if not header or "gzip" not in header:
        return False
    weigh = _weigh_known if len(header) <= _LONGEST_KNOWN else _weigh
    return weigh(header) > 0


def _weigh(header: str) -> float:
    return parse_accept_header(header).quality("gzip")


_weigh_known = lru_cache(maxsize=256)(_weigh)
