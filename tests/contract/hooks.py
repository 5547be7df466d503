"""What schemathesis cannot know of the service: which cursor belongs to which list, that a version or a key made up
stops a write before it is one, that no text may hold a NUL, what a file of sites holds, and which keys are its own.

schemathesis.toml names this module; it is imported in schemathesis' own process.
"""

import csv
import io
import json
import os
import uuid
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response

OWN_KEYS = "CONTRACT_OWN_KEYS"
"""The environment variable with the ids of the keys that the callers come with, separated by commas."""

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=50)
_ROWS = st.lists(
    st.fixed_dictionaries(
        {"name": _TEXT.map(lambda text: f"Shop {text}"), "external_id": st.uuids().map(str)},
        optional={"city": _TEXT.map(lambda text: f"City {text}"), "phone": st.just("+33 1 23 45 67 89")},
    ),
    min_size=1,
    max_size=5,
)


@schemathesis.hook
def before_call(_context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Give a good request for a page a cursor of its own list, where that has another page; have every other good
    write go beyond its headers; spare our own keys.
    """
    if _is_good(case) and "cursor" in (case.query or {}):
        _take_real_cursor(case, kwargs)
    if _is_good(case) and zlib.crc32(case.id.encode()) % 2:
        case.headers.pop("If-Match", None)
        case.headers.pop("Idempotency-Key", None)
    if _is_good(case) and isinstance(case.body, dict):
        # The spec says it of each text that it names; within attributes there is no way to.
        case.body = _without_nul(case.body)
    if case.method == "DELETE" and case.operation.path == "/keys/{id}":
        _spare_own_key(case)


@schemathesis.hook
def filter_failure(_context: HookContext, _failure: Failure, _case: Case, response: Response) -> bool:
    """Overlook what the HTTP server refuses before the service sees it: a head that is too large."""
    return response.status_code not in (414, 431) or bool(response.content)


def _is_good(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def _take_real_cursor(case: Case, kwargs: dict[str, Any]) -> None:
    del case.query["cursor"]
    first = case.call(**kwargs)
    if first.status_code == 200 and (url := first.json()["next"]):
        (case.query["cursor"],) = parse_qs(urlsplit(url).query)["cursor"]


def _spare_own_key(case: Case) -> None:
    if str(case.path_parameters.get("id")).lower() in os.environ.get(OWN_KEYS, "").split(","):
        case.path_parameters["id"] = str(uuid.uuid4())


def _without_nul(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.replace("\0", ""): _without_nul(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    return value.replace("\0", "") if isinstance(value, str) else value


def _as_csv(rows: list[dict[str, str]]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def _as_lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


schemathesis.openapi.media_type("text/csv", _ROWS.map(_as_csv))
schemathesis.openapi.media_type("application/x-ndjson", _ROWS.map(_as_lines))
