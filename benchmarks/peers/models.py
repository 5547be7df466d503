"""The answers as FastAPI's documentation would have them declared."""

from pydantic import BaseModel


class CountryName(BaseModel):
    """A country, named."""

    iso2: str
    iso3: str
    name: str


class SubdivisionName(BaseModel):
    """A subdivision, named."""

    code: str
    name: str


class Timezone(BaseModel):
    """A timezone and its offset."""

    name: str
    utc_offset: str


class ServedCity(BaseModel):
    """The city that an airport serves."""

    id: int
    name: str
    label: str
    distance_km: float


class Airport(BaseModel):
    """One airport."""

    icao: str
    iata: str | None
    name: str
    city: str | None
    subdivision: str | None
    country: CountryName | None
    served_city: ServedCity | None
    elevation_m: int | None
    lat: float
    lon: float
    timezone: Timezone


class CityHit(BaseModel):
    """A city in a list."""

    id: int
    name: str
    matched_name: str | None
    label: str
    country: str
    subdivision: str | None
    population: int
    lat: float
    lon: float
    timezone: str


class CityPage(BaseModel):
    """A page of cities."""

    items: list[CityHit]
    next: str | None


class City(BaseModel):
    """One city."""

    id: int
    name: str
    label: str
    country: CountryName
    subdivision: SubdivisionName | None
    capital_of: str | None
    population: int
    lat: float
    lon: float
    timezone: Timezone
    alternate_names: list[str]


class Created(BaseModel):
    """The number of a new entry."""

    number: int
