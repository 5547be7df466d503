"""The one error of settings, and how a wrong name is answered with the nearest right one."""

import difflib
from collections.abc import Iterable


class ConfigError(Exception):
    """Wrong settings. `str()` is one line: where, what is wrong, what is allowed; never a secret."""

    def __init__(self, line: str) -> None:
        super().__init__("".join(char if char.isprintable() else repr(char)[1:-1] for char in line))


def suggestion(wrong: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return "; did you mean X?" for the nearest known name, or "" when none is alike enough (0 to 1)."""
    by_folded = {name.upper(): name for name in known}
    near = difflib.get_close_matches(wrong.upper(), by_folded, n=1, cutoff=likeness)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""
