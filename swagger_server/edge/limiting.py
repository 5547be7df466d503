"""Callers that ask for too much: a 429 that says when to come again, and what is left on every other answer.

Counts by address here, before anything is done for the request, and by caller (`admit_caller`) once the security
functions have said who that is. Owns who counts as what; the counting is `rate_limits`'.
"""

from collections.abc import Collection, Mapping
from typing import Any

from swagger_server.config import LimitSettings, Rate
from swagger_server.problems import Problem
from swagger_server.rate_limits import (
    POLICY_HEADER,
    STANDING_HEADER,
    Counter,
    Policy,
    Standing,
    client_of,
    policy_field,
    standing_field,
)
from swagger_server.serving import Request, Response

_READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_TITLE = "Request cannot be satisfied as assigned quota has been exceeded"

_UNAUTHORIZED = 401

_POLICY, _STANDING = POLICY_HEADER.lower(), STANDING_HEADER.lower()


class TooManyRequests(Problem):
    """429: the caller has used up what a policy allows."""

    def __init__(self, standing: Standing) -> None:
        policy = standing.policy
        super().__init__(
            429,
            f"More than {policy.amount} in {policy.seconds} s ({policy.name}). Try again in {standing.seconds} s.",
            title=_TITLE,
            headers={"Retry-After": str(standing.seconds)},
            type=_QUOTA_EXCEEDED,
            **{"violated-policies": [policy.name]},
        )


class Limiting:
    """The limits of `settings`, counted by `counter`.

    `credentials` are the headers in which callers say who they are. Requests for the `exempt` paths count nowhere,
    nor do those for what is below one that ends in a slash.
    """

    headers = (POLICY_HEADER, STANDING_HEADER)

    def __init__(
        self,
        settings: LimitSettings,
        counter: Counter,
        credentials: Collection[str] = (),
        exempt: Collection[str] = (),
    ) -> None:
        self._counter = counter
        self._credentials = tuple(credentials)
        self._exempt = frozenset(exempt)
        self._exempt_below = tuple(path for path in exempt if path.endswith("/"))
        self._reads = _policy("address-reads", settings.reads_per_address)
        self._writes = _policy("address-writes", settings.writes_per_address)
        self._failures = _policy("address-failures", settings.failed_authentications)
        self._callers_reads = _policy("key-reads", settings.reads_per_key)
        self._callers_writes = _policy("key-writes", settings.writes_per_key)

    @property
    def limits_callers(self) -> bool:
        """Whether `admit_caller` has anything to do."""
        return bool(self._callers_reads or self._callers_writes)

    def admit(self, request: Request) -> None:
        """Count the request at its address; TooManyRequests when that has asked for too much.

        One whose standing is known was counted before its body was read, and is not counted again.
        """
        if request.quotas:
            return
        client, path = _client(request), request.path_in_app
        if client is None or path in self._exempt or path.startswith(self._exempt_below):
            return
        policy = self._reads if request.method in _READS else self._writes
        if policy is not None:
            standing = self._counter.take(policy, client)
            request.quotas = (standing,)
            if standing.requests > policy.amount:
                raise TooManyRequests(standing)
        if self._failures is not None and self._offers_credential(request):
            self._refuse_guesser(request, self._failures, client)

    def admit_caller(self, request: Request) -> None:
        """Count the request, whose caller is known now or never will be, as the caller's; TooManyRequests as `admit`.

        One that is run again is not counted again.
        """
        told = request.caller
        caller = _caller(told) if told else None
        if caller is None:
            return
        policy = self._callers_reads if request.method in _READS else self._callers_writes
        if policy is None or any(each.policy is policy for each in request.quotas):
            return
        standing = self._counter.take(policy, caller)
        request.quotas = (*request.quotas, standing)
        if standing.is_over:
            raise TooManyRequests(standing)

    def settle(self, request: Request, response: Response) -> None:
        """Say in the answer what is left, and count it where it refused a credential."""
        quotas = request.quotas
        if quotas:
            policies = policy_field([each.policy for each in quotas])
            response.headers.update({_POLICY: policies, _STANDING: standing_field(quotas)})
        if response.status == _UNAUTHORIZED and self._failures is not None:
            client = _client(request)
            if client is not None and self._offers_credential(request):
                self._counter.take(self._failures, client)

    def _refuse_guesser(self, request: Request, policy: Policy, client: str) -> None:
        standing = self._counter.look(policy, client)
        if standing.requests >= policy.amount:
            request.quotas = (*request.quotas, standing)
            raise TooManyRequests(standing)

    def _offers_credential(self, request: Request) -> bool:
        for name in self._credentials:  # noqa: SIM110 - at every request, and any() takes four times as long
            if request.header(name) is not None:
                return True
        return False


def _policy(name: str, rate: Rate | None) -> Policy | None:
    return None if rate is None else Policy(name, rate)


def _caller(told: Mapping[str, Any]) -> str | None:
    """Whom the security functions have found: the key where they name it as `key_id`, else its owner."""
    key = (told.get("token_info") or {}).get("key_id")
    owner = told.get("user")
    if key is not None:
        return f"key {key}"
    return None if owner is None else f"owner {owner}"


def _client(request: Request) -> str | None:
    """Whose address the request came from; None where there is none, as on a Unix socket."""
    address = request.scope.get("client")
    return client_of(address[0]) if address and address[0] else None
