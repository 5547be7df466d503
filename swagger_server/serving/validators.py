"""Requests as Connexion checks them, with some of its defaults mended.

A body that is not text in its encoding is the client's error, not the server's; JSON is taken as it is meant
(`strict_json`); the formats that OpenAPI names for dates are checked; and the end of a pattern is that of the text
(`patterns`).
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from connexion.datastructures import MediaTypeDict
from connexion.exceptions import BadRequestProblem
from connexion.json_schema import Draft4RequestValidator, Draft4ResponseValidator
from connexion.validators import VALIDATOR_MAP, AbstractRequestBodyValidator
from connexion.validators.json import JSONRequestBodyValidator
from jsonschema import Draft4Validator, Draft202012Validator

from swagger_server.serving import strict_json
from swagger_server.serving.patterns import pattern_errors
from swagger_server.serving.translate import Scope

# Connexion validates by draft 4, which has no "date" and no "uuid"; later drafts know how to check them.
for _name in ("date", "date-time", "uuid"):
    Draft4Validator.FORMAT_CHECKER.checkers[_name] = Draft202012Validator.FORMAT_CHECKER.checkers[_name]

# Connexion's own validators have copies of the keywords.
for _kind in (Draft4Validator, Draft4RequestValidator, Draft4ResponseValidator):
    _kind.VALIDATORS["pattern"] = pattern_errors

JSON_DEPTH = 32
"""Levels of arrays and objects that a body may have, where nobody has said otherwise."""


class StrictJsonBody(JSONRequestBodyValidator):  # type: ignore[misc]  # Connexion has no types
    """Connexion's validator of JSON bodies; what is not JSON is a 400 that says where."""

    depth: ClassVar[int] = JSON_DEPTH

    async def _parse(self, stream: AsyncIterator[bytes], scope: Scope) -> Any:  # noqa: ARG002
        raw = b"".join([chunk async for chunk in stream])
        return parse_json(raw, self._encoding, self.depth) if raw else None


def parse_json(raw: bytes, encoding: str, depth: int = JSON_DEPTH) -> Any:
    """The value of a JSON text; BadRequestProblem, with the reason, where it is none or too deep."""
    try:
        return strict_json.loads(raw.decode(encoding), depth)
    except (UnicodeDecodeError, LookupError):
        raise BadRequestProblem(detail=f"The request body is not valid {encoding}.") from None
    except strict_json.Refused as exc:
        raise BadRequestProblem(detail=f"The request body is not valid JSON: {exc}.") from None


class JsonLines(AbstractRequestBodyValidator):  # type: ignore[misc]  # Connexion has no types
    """A text of many JSON values: to be read line by line by whoever wants it, since it is none as a whole."""

    async def wrap_receive(self, receive: Any, *, scope: Scope) -> tuple[Any, Scope]:
        """The body as it is."""
        return receive, scope


def validators(json_depth: int = JSON_DEPTH) -> Mapping[str, Any]:
    """For Connexion's `validator_map`: JSON bodies of at most so many levels (0: as many as are safe)."""
    body = type(StrictJsonBody.__name__, (StrictJsonBody,), {"depth": json_depth})
    return {
        "body": MediaTypeDict({**VALIDATOR_MAP["body"], "*/*json": body, "application/x-ndjson": JsonLines})
    }


VALIDATORS = validators()
