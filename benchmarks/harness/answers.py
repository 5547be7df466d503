"""What became of one request, whoever sent it."""

from dataclasses import dataclass

BACK_WITHIN = 0.25
"""Seconds after which everybody is served again once the database is."""

BROKEN = 0
"""In the place of a status: the connection ended before the answer did."""


@dataclass(frozen=True)
class Answer:
    """When a request was sent and answered, by time.monotonic(), and how."""

    sent: float
    ended: float
    status: int

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def seconds(self) -> float:
        """That its client waited."""
        return self.ended - self.sent
