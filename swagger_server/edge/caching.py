"""Validators and lifetimes for what was read: ETag, Cache-Control, and 304 when nothing changed."""

import hashlib
from collections.abc import Callable

from werkzeug.http import is_resource_modified

from swagger_server.serving import Request, Response

_KEPT_BY_304 = frozenset({"cache-control", "content-location", "date", "etag", "expires", "link", "vary"})
"""What a 304 repeats of the 200 that it stands for (RFC 9110, section 15.4.5), and Link."""


class Caching:
    """`seconds` is how long an answer may be reused without asking; after that its ETag is asked for.

    `is_changing` tells of which requests the answer is not to be reused without asking, since it may be another by now.
    """

    def __init__(
        self, seconds: int, is_secured: Callable[[Request], bool], is_changing: Callable[[Request], bool]
    ) -> None:
        self._lifetime = f"max-age={seconds}"
        self._is_secured = is_secured
        self._is_changing = is_changing

    def complete(self, request: Request, response: Response) -> None:
        """Give the answer to a successful GET the ETag and Cache-Control that it does not have yet."""
        whole, headers = response.whole, response.headers
        if response.status == 200 and whole is not None and "etag" not in headers:
            # Weak: the same tag stands for the plain and the compressed body.
            headers.set("etag", f'W/"{hashlib.blake2b(whole, digest_size=12).hexdigest()}"')
        if "cache-control" in headers:
            return
        if self._is_secured(request):
            # Even the caller's own cache asks each time: it does not tell one key's answers from another's.
            # What has no tag to ask by, a stream, is not to be kept at all.
            response.set_header(
                "cache-control", "private, no-cache" if response.header("etag") else "no-store"
            )
            return
        private = _is_private(request, response)
        if response.status in (200, 304) and whole is not None:
            lifetime = "no-cache" if self._is_changing(request) else self._lifetime
            response.set_header("cache-control", f"private, {lifetime}" if private else lifetime)
        elif private:
            response.set_header("cache-control", "private")


def _is_private(request: Request, response: Response) -> bool:
    """Whether the answer may be for this caller alone, and so not for a cache that others share."""
    told = request.header("authorization") or request.header("cookie") or response.header("set-cookie")
    return bool(told)


def answer_not_modified(request: Request, response: Response) -> bool:
    """Make the answer a 304 if the client says that it has it; whether it did."""
    has = request.header("if-none-match")
    if has is None or response.status != 200:
        return False
    etag = response.header("etag")
    if etag is None:
        return False
    # Of the conditions this one alone: If-Match and its like are for writes, and their failure is no 304.
    if is_resource_modified({"REQUEST_METHOD": "GET", "HTTP_IF_NONE_MATCH": has}, etag=etag):
        return False
    response.status = 304
    response.headers.keep(_KEPT_BY_304)
    response.drop_body()
    return True
