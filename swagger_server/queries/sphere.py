"""Great circles in SQL: the columns `position` are points on the unit sphere.

The schema has functions for this. Here their bodies are spelled out, because of built-in functions alone the pool
knows that they leave the session as it was; after others it cleans the connection before it lends it again.
"""

from typing import TypeVar

_Number = TypeVar("_Number", float, float | None)

_LEAST = 1e-100


def reckonable(number: _Number) -> _Number:
    """The number, or zero in the place of one that is all but zero: to reckon with that is an error in PostgreSQL."""
    return 0.0 if number is not None and abs(number) < _LEAST else number


CENTRE = """cube(ARRAY[cos(radians(%(lat)s)) * cos(radians(%(lon)s)),
        cos(radians(%(lat)s)) * sin(radians(%(lon)s)), sin(radians(%(lat)s))])"""
"""The point at `lat` and `lon`, degrees."""

CHORD = f"position <-> {CENTRE}"
"""The straight distance of a position from there: 0 to 2, and in the same order as that over the ground."""

DISTANCE_KM = "round((2 * 6371.0088 * asin(least(chord / 2, 1)))::numeric, 3)"
"""Kilometres over the ground for a `chord`, to the metre. Rounding can make it a hair longer than 2."""

_RADIUS = "2 * sin(least(%(radius_km)s / (2 * 6371.0088), pi() / 2))"

WITHIN_RADIUS = f"position <@ cube_enlarge({CENTRE}, {_RADIUS}, 3) AND {CHORD} <= {_RADIUS}"
"""Whether a position is at most `radius_km` away. The box is for the index, the chord is the truth."""
