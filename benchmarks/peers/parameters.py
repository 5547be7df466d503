"""What a request may carry, as the spec of our service has it: for FastAPI one by one, for Flask as models."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

_COUNTRY = r"^[A-Za-z]{2,3}$"
_SUBDIVISION = r"^[A-Za-z]{2}[.][A-Za-z0-9_-]+$"
_CURSOR = r"^[A-Za-z0-9_-]+$"
_AIRPORT = r"^[A-Za-z0-9_-]{3,4}$"
_LARGEST = 1_000_000_000
_LARGEST_ID = 9_007_199_254_740_991

Q = Annotated[str | None, Query(min_length=1, max_length=100)]
Country = Annotated[str | None, Query(pattern=_COUNTRY)]
Subdivision = Annotated[str | None, Query(max_length=23, pattern=_SUBDIVISION)]
MinPopulation = Annotated[int | None, Query(ge=0, le=_LARGEST)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(min_length=1, max_length=512, pattern=_CURSOR)]
AirportCode = Annotated[str, Path(pattern=_AIRPORT)]
CityId = Annotated[int, Path(ge=1, le=_LARGEST_ID)]


class CityQuery(BaseModel):
    """The query of /v1/cities."""

    model_config = ConfigDict(extra="forbid")

    q: str | None = Field(None, min_length=1, max_length=100)
    country: str | None = Field(None, pattern=_COUNTRY)
    subdivision: str | None = Field(None, max_length=23, pattern=_SUBDIVISION)
    min_population: int | None = Field(None, ge=0, le=_LARGEST)
    limit: int = Field(20, ge=1, le=100)
    cursor: str | None = Field(None, min_length=1, max_length=512, pattern=_CURSOR)


class AirportPath(BaseModel):
    """The path of /v1/airports/{code}."""

    code: str = Field(pattern=_AIRPORT)


class CityPath(BaseModel):
    """The path of /v1/cities/{id}."""

    id: int = Field(ge=1, le=_LARGEST_ID)


class Entry(BaseModel):
    """The body of a POST to /ledger/entries."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=20)
    amount: Decimal


def filters(country: str | None, subdivision: str | None, min_population: int | None) -> dict[str, Any]:
    """The filters of a list of cities, as the statements take them."""
    return {
        "country": country and country.upper(),
        "subdivision": subdivision and subdivision.upper(),
        "min_population": min_population,
    }


def refuse_cursor(cursor: str | None) -> None:
    """No later page is made here, and the first one in its place would be wrong."""
    if cursor is not None:
        raise HTTPException(400, "Only first pages are made here.")
