"""The header fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11), as structured fields."""

from collections.abc import Iterable
from functools import cache

from swagger_server.rate_limits.counter import Policy, Standing

POLICY_HEADER = "RateLimit-Policy"
STANDING_HEADER = "RateLimit"


def policy_field(policies: Iterable[Policy]) -> str:
    """What is allowed: the quota and, in seconds, the window of each policy."""
    return ", ".join([_policy(policy) for policy in policies])


def standing_field(standings: Iterable[Standing]) -> str:
    """What is left, and for how many seconds that has to do."""
    return ", ".join([_standing(*standing) for standing in standings])


@cache  # in every answer, and there are few
def _policy(policy: Policy) -> str:
    return f'"{policy.name}";q={policy.amount};w={policy.seconds}'


def _standing(policy: Policy, requests: int, left: int) -> str:
    # In every answer, and so not by the properties of a standing.
    remaining = policy.amount - requests
    return f'"{policy.name}";r={remaining if remaining > 0 else 0};t={-(-left // 1000)}'
