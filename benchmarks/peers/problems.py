"""Requests that break the rules get a 400 in the shape that our service gives it, instead of FastAPI's 422."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.requests import Request


def problem(detail: Any) -> dict[str, Any]:
    """The body of a 400."""
    return {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail}


async def refuse(_request: Request, exc: Exception) -> JSONResponse:
    """The answer to a RequestValidationError."""
    assert isinstance(exc, RequestValidationError)
    detail = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
    return JSONResponse(problem(detail), 400, media_type="application/problem+json")


def add_to(app: FastAPI) -> None:
    """Have the app refuse so."""
    app.add_exception_handler(RequestValidationError, refuse)
