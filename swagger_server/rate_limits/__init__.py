"""How much each caller asks for: rates, counted for all workers of a host together.

Owns the counting and the words of the header fields; who is counted, and what is refused, is decided above. The rates
and the ways to count are those of the library `limits`. Knows neither HTTP's requests, Flask nor the database.
"""

from swagger_server.rate_limits.clients import client_of
from swagger_server.rate_limits.counter import Counter, Policy, Standing
from swagger_server.rate_limits.fields import POLICY_HEADER, STANDING_HEADER, policy_field, standing_field
from swagger_server.rate_limits.shared import SharedStorage

__all__ = [
    "POLICY_HEADER",
    "STANDING_HEADER",
    "Counter",
    "Policy",
    "SharedStorage",
    "Standing",
    "client_of",
    "policy_field",
    "standing_field",
]
