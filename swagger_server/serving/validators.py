"""Requests as Connexion checks them, with three of its defaults mended.

A body that is not text in its encoding is the client's error, not the server's; NaN and infinity, which
JSON lacks, are refused instead of passed on; and the formats that OpenAPI names for dates are checked.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

from connexion.datastructures import MediaTypeDict
from connexion.exceptions import BadRequestProblem
from connexion.validators import VALIDATOR_MAP, AbstractRequestBodyValidator
from connexion.validators.json import JSONRequestBodyValidator
from jsonschema import Draft4Validator, Draft202012Validator

from swagger_server.serving.translate import Scope

# Connexion validates by draft 4, which has no "date" and no "uuid"; later drafts know how to check them.
for _name in ("date", "date-time", "uuid"):
    Draft4Validator.FORMAT_CHECKER.checkers[_name] = Draft202012Validator.FORMAT_CHECKER.checkers[_name]


class StrictJsonBody(JSONRequestBodyValidator):  # type: ignore[misc]  # Connexion has no types
    """Connexion's validator of JSON bodies; what is not JSON is a 400 that says where."""

    async def _parse(self, stream: AsyncIterator[bytes], scope: Scope) -> Any:  # noqa: ARG002
        raw = b"".join([chunk async for chunk in stream])
        return parse_json(raw, self._encoding) if raw else None


def parse_json(raw: bytes, encoding: str) -> Any:
    """The value of a JSON text; BadRequestProblem, with the reason, where it is none."""
    try:
        return json.loads(raw.decode(encoding), parse_constant=_refuse)
    except (UnicodeDecodeError, LookupError):
        raise BadRequestProblem(detail=f"The request body is not valid {encoding}.") from None
    except (ValueError, RecursionError) as exc:
        raise BadRequestProblem(detail=f"The request body is not valid JSON: {exc}.") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


class JsonLines(AbstractRequestBodyValidator):  # type: ignore[misc]  # Connexion has no types
    """A text of many JSON values: to be read line by line by whoever wants it, since it is none as a whole."""

    async def wrap_receive(self, receive: Any, *, scope: Scope) -> tuple[Any, Scope]:
        """The body as it is."""
        return receive, scope


VALIDATORS: Mapping[str, Any] = {
    "body": MediaTypeDict(
        {**VALIDATOR_MAP["body"], "*/*json": StrictJsonBody, "application/x-ndjson": JsonLines}
    ),
}
"""For Connexion's `validator_map`."""
