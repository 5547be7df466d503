"""The soak's requests to the service of the tests' second spec: reads, writes, and reads of what was written.

Owns what is asked, what the right answer is, and what has to be in the database in the end. Knows no HTTP client.
"""

import json
import random
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from tests.support.servers import Database

SEEDED = 1000
"""Entries that are there from the start, by the numbers 1 to 1000."""

WRITES, OWN_READS, TRANSACTIONS, SLOW = 0.15, 0.10, 0.10, 0.05
"""Parts of the requests: a new entry; an entry that was just written, with the position that its writer was told; two
statements that must see one state; a read that takes 20 ms. The rest reads one of the first entries."""

_RECENT = 50
_SLOW = 0.02  # seconds

# Without UNIQUE: were a write carried out twice, both rows would be found.
SEED = f"""
ALTER TABLE entry DROP CONSTRAINT entry_name_key;
CREATE INDEX ON entry (name);
INSERT INTO entry (name, amount) SELECT 'seed-' || n, n FROM generate_series(1, {SEEDED}) n;
"""

POSITION = "X-Database-Position"


@dataclass(frozen=True)
class Errand:
    """One request: `operation` is the controller's function, `about` what the answer is compared with."""

    operation: str
    path: str
    about: str = ""
    method: str = "GET"
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_read(self) -> bool:
        return self.method == "GET"

    def is_answered_by(self, status: int, body: bytes) -> bool:
        """Whether a 2xx is the right one."""
        said: Any = json.loads(body)
        if self.operation == "get":
            return status == 200 and bool(said["name"] == self.about)
        if self.operation == "consistent":
            return status == 200 and bool(said == {"same_transaction": True, "read_only": "on"})
        if self.operation == "count_slowly":
            return status == 200 and bool(said["count"] >= SEEDED)
        return status == 201 and type(said["number"]) is int


@dataclass(frozen=True)
class _Written:
    number: int
    name: str
    position: str


@dataclass(frozen=True)
class Stored:
    """What the database holds of the writes. All names."""

    lost: list[str]
    """Acknowledged, and not there under the number that was told."""
    doubled: list[str]
    unasked: int
    """There, though their writer was told of a failure, or nothing: it may happen to what breaks off."""


class Errands:
    """Draws requests at random, and remembers what was acknowledged. Safe from any thread."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._recent: deque[_Written] = deque(maxlen=_RECENT)
        self._acknowledged: list[_Written] = []
        self._count = 0

    def draw(self) -> Errand:
        """The next request."""
        with self._lock:
            lot = self._random.random()
            if lot < WRITES:
                self._count += 1
                return _write(f"written-{self._count}")
            if lot < WRITES + OWN_READS and self._recent:
                return _own_read(self._random.choice(self._recent))
            if lot < WRITES + OWN_READS + TRANSACTIONS:
                return Errand("consistent", "/ledger/consistent")
            if lot < WRITES + OWN_READS + TRANSACTIONS + SLOW:
                return Errand("count_slowly", f"/ledger/count-slowly?seconds={_SLOW}")
            number = self._random.randint(1, SEEDED)
            return Errand("get", f"/ledger/entries/{number}", f"seed-{number}")

    def acknowledged(self, errand: Errand, body: bytes, position: str | None) -> None:
        """A write was answered with a success."""
        written = _Written(json.loads(body)["number"], errand.about, position or "")
        with self._lock:
            self._acknowledged.append(written)
            self._recent.append(written)

    def stored(self, database: Database) -> Stored:
        """Compare with the database, once nobody writes any more."""
        rows = database.execute("SELECT number, name FROM entry WHERE number > %s", (SEEDED,))
        there, names = set(rows), Counter(name for _, name in rows)
        with self._lock:
            acknowledged = list(self._acknowledged)
        return Stored(
            lost=[each.name for each in acknowledged if (each.number, each.name) not in there],
            doubled=[name for name, count in names.items() if count > 1],
            unasked=len(names.keys() - {each.name for each in acknowledged}),
        )


def _write(name: str) -> Errand:
    body = json.dumps({"name": name, "amount": 1})
    kind = {"Content-Type": "application/json"}
    return Errand("create", "/ledger/entries", name, "POST", body, kind)


def _own_read(written: _Written) -> Errand:
    path = f"/ledger/entries/{written.number}"
    return Errand("get", path, written.name, headers={POSITION: written.position})
