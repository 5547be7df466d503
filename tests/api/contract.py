"""Checks an answer against the spec: status, headers, media type and body."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from tests.support.yaml_file import read_yaml

SPEC = Path(__file__).resolve().parents[2] / "swagger_server" / "swagger" / "swagger.yaml"
BASE = "/v1"

OPTIONAL = {"RateLimit", "RateLimit-Policy"}
"""Headers that are there only where the settings ask for them."""


@functools.cache
def _spec() -> dict[str, Any]:
    """For reading only."""
    return read_yaml(SPEC)


class Contract:
    """The spec, as something that answers are held against."""

    def __init__(self) -> None:
        self.spec = _spec()

    def paths(self) -> list[str]:
        """The path templates of all operations."""
        return list(self.spec["paths"])

    def open_paths(self) -> list[str]:
        """Those of them that can be read without saying who is calling."""
        paths = self.spec["paths"].items()
        return [path for path, methods in paths if "get" in methods and "security" not in methods["get"]]

    def check(self, answer: requests.Response) -> None:
        """AssertionError with the reason where the answer is not one that the spec announces."""
        path = urlsplit(answer.url).path.removeprefix(BASE)
        method = str(answer.request.method).lower()
        responses = self.spec["paths"][self.template(path)][method]["responses"]
        assert str(answer.status_code) in responses, f"{answer.status_code} is not in the spec: {answer.text}"
        announced = self.resolved(responses[str(answer.status_code)])
        self._check_headers(announced, answer)
        self._check_body(announced, answer)

    def template(self, path: str) -> str:
        """The path template that a path belongs to; those without parameters come first, as in the router."""
        templates = sorted(self.paths(), key=lambda template: template.count("{"))
        return next(template for template in templates if _matches(template, path))

    def resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """A part of the spec, or what it refers to."""
        found: Any = part
        while "$ref" in found:
            reference, found = found["$ref"], self.spec
            for name in reference.removeprefix("#/").split("/"):
                found = found[name]
        return found  # type: ignore[no-any-return]

    def _check_headers(self, announced: Mapping[str, Any], answer: requests.Response) -> None:
        for name, header in announced.get("headers", {}).items():
            # only the last page has no link
            if name == "Link" and not (answer.content and answer.json()["next"]):
                continue
            if name in answer.headers or name not in OPTIONAL:
                assert name in answer.headers, f"{name} is missing"
                self._validate(self.resolved(header)["schema"], _value(answer.headers[name], header))

    def _check_body(self, announced: Mapping[str, Any], answer: requests.Response) -> None:
        if "content" not in announced:
            assert not answer.content
            return
        media_type = answer.headers["Content-Type"].partition(";")[0]
        assert media_type in announced["content"], f"{media_type} is not in the spec"
        self._validate(announced["content"][media_type]["schema"], answer.json())

    def _validate(self, schema: Mapping[str, Any], value: Any) -> None:
        root = {**schema, "components": self.spec["components"]}
        errors = list(OAS30Validator(root, format_checker=oas30_format_checker).iter_errors(value))
        assert not errors, "\n".join(f"{list(error.path)}: {error.message}" for error in errors[:5])


class Api:
    """A client of a running service that checks every answer against the contract."""

    def __init__(self, url: str) -> None:
        self.url = url + BASE
        self.contract = Contract()
        self._session = requests.Session()

    def get(
        self, path: str, status: int = 200, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Any:
        """The JSON of an answer, which must have that status; None without a body."""
        answer = self.answer(path, headers, **query)
        assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
        return answer.json() if answer.content else None

    def answer(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> requests.Response:
        """The answer to a GET of a path under /v1, or of a URL that the service gave."""
        url = path if path.startswith("http") else self.url + path
        answer = self._session.get(url, params=query, headers=headers, timeout=30)
        self.contract.check(answer)
        return answer

    def pages(self, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """The items of each page of a list, from link to link."""
        page = self.get(path, **query)
        yield page["items"]
        while page["next"]:
            page = self.get(page["next"])
            yield page["items"]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _matches(template: str, path: str) -> bool:
    parts = list(zip(template.split("/"), path.split("/"), strict=False))
    same_length = template.count("/") == path.count("/")
    return same_length and all(part == given or part.startswith("{") for part, given in parts)


def _value(text: str, header: Mapping[str, Any]) -> Any:
    return int(text) if header.get("$ref", "").endswith("RetryAfter") else text
