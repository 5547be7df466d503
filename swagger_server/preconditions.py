"""If-Match (RFC 9110, section 13.1.1): a change is made to the version that its client has seen, or not at all.

Versions are numbers, and their tags those numbers in quotes. Knows the problems and Flask's request; must not know
the database or what it is that has versions.
"""

import re

from flask import current_app, request
from werkzeug.http import parse_etags

from swagger_server.problems import Problem

REQUIRED = "SWAGGER_SERVER_REQUIRE_IF_MATCH"
"""The app's setting: whether a change without If-Match is refused."""

_VERSION = re.compile("[1-9][0-9]{0,17}")


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def require_if_match() -> None:
    """Refuse the request with 428 where it must say which version it changes, and does not."""
    if current_app.config.get(REQUIRED) and "If-Match" not in request.headers:
        raise Problem(428, "Say by If-Match which version this changes: the ETag that came with it.")


def require_version(current: int) -> None:
    """Refuse the request with 412 where its If-Match names none but other versions than the current one.

    To be asked while nobody else can change what it is about. A tag that was made weak on its way, by a proxy that
    compresses, is of the same version.
    """
    if "If-Match" not in request.headers:
        return
    tags = parse_etags(request.headers["If-Match"])
    if not tags.star_tag and str(current) not in {*tags.as_set(include_weak=True)}:
        raise Problem(
            412,
            "It was changed since: what If-Match names is no longer the current version. Read it again.",
            headers={"ETag": etag(current)},
        )
