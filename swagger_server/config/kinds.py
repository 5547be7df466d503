"""The kinds of values a setting can have: each turns text into a value, or says in words what is allowed.

A kind never repeats the text it refused: whether the text may be shown is for the caller to know.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

TRUE_WORDS = ("yes", "true", "on", "1")
FALSE_WORDS = ("no", "false", "off", "0")


class Refused(ValueError):
    """A text that a kind does not take, in words that say it better than `allowed`, without the text."""


class Kind(Protocol):
    """Parses one setting's text."""

    @property
    def open(self) -> bool:
        """True when an error line may repeat the text: it can hold no secret, even by mistake."""

    @property
    def allowed(self) -> str:
        """What is allowed, in words that follow "must be"."""

    def parse(self, text: str, folder: Path, /) -> Any:
        """Return the value, paths starting from `folder`; raise ValueError or Refused for any other text."""

    def show(self, value: Any) -> str:
        """Write a value as it would stand in config.ini."""


class _Plain:
    """What most kinds share: the text is no secret, and the value is shown as it prints."""

    @property
    def open(self) -> bool:
        return True

    def show(self, value: Any) -> str:
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Whole(_Plain):
    """A whole number within bounds, both included."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def parse(self, text: str, _folder: Path) -> int:
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()) else None
        if value is None or not self.low <= value <= self.high:
            raise ValueError
        return value


@dataclass(frozen=True)
class Number(_Plain):
    """A number within bounds, both included; not NaN, not infinite."""

    low: float
    high: float

    @property
    def allowed(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def parse(self, text: str, _folder: Path) -> float:
        value = float(text) if text.isascii() and "_" not in text else math.nan
        if not self.low <= value <= self.high:
            raise ValueError
        return value

    def show(self, value: Any) -> str:
        return str(value).removesuffix(".0")


class Rate(NamedTuple):
    """So many in a period: `multiple` times its unit, which is a second, minute, hour or day."""

    amount: int
    multiple: int
    unit: str

    def __str__(self) -> str:
        return f"{self.amount}/{self.multiple if self.multiple > 1 else ''}{self.unit}"


_RATE = re.compile(r"([0-9]{1,7})\s*(?:/|per)\s*([0-9]{0,3})\s*(second|minute|hour|day)s?", re.IGNORECASE)


@dataclass(frozen=True)
class Rates(_Plain):
    """A rate; nothing or 0 is none."""

    @property
    def allowed(self) -> str:
        return "a rate such as 100/second or 1000/5minutes (second, minute, hour, day); 0 for none"

    def parse(self, text: str, _folder: Path) -> Rate | None:
        if text.strip() in ("", "0"):
            return None
        found = _RATE.fullmatch(text.strip())
        if not found:
            raise ValueError
        rate = Rate(int(found[1]), int(found[2] or 1), found[3].lower())
        if rate.multiple < 1:
            raise ValueError
        return rate if rate.amount else None

    def show(self, value: Any) -> str:
        return str(value or 0)


@dataclass(frozen=True)
class Choice(_Plain):
    """One word of a few; upper and lower case are the same."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return " or ".join(filter(None, (", ".join(self.words[:-1]), self.words[-1])))

    def parse(self, text: str, _folder: Path) -> str:
        found = [word for word in self.words if word.upper() == text.strip().upper()]
        if not found:
            raise ValueError
        return found[0]


@dataclass(frozen=True)
class Flag(_Plain):
    """Yes or no, in the words that ConfigParser knows."""

    @property
    def allowed(self) -> str:
        return "yes or no"

    def parse(self, text: str, _folder: Path) -> bool:
        word = text.strip().lower()
        if word not in TRUE_WORDS + FALSE_WORDS:
            raise ValueError
        return word in TRUE_WORDS

    def show(self, value: Any) -> str:
        return "" if value is None else "yes" if value else "no"


@dataclass(frozen=True)
class Text(_Plain):
    """Any text that a database could be told, on one line."""

    @property
    def open(self) -> bool:
        return False

    @property
    def allowed(self) -> str:
        return "UTF-8 text on one line"

    def parse(self, text: str, _folder: Path) -> str:
        text.encode()  # bytes in the environment that are no UTF-8 arrive as lone surrogates
        if "\0" in text or "\n" in text:
            raise ValueError
        return text


@dataclass(frozen=True)
class DatabaseName(Text):
    """A database's name; libpq would take a connection string in its place, and with it other settings."""

    @property
    def allowed(self) -> str:
        return "the name of a database, not a connection string"

    def parse(self, text: str, folder: Path) -> str:
        if "://" in text or "=" in text:
            raise ValueError
        return super().parse(text, folder)


@dataclass(frozen=True)
class Host(Text):
    """libpq's host: a name, an address, a socket folder, or a list of these separated by commas."""

    @property
    def allowed(self) -> str:
        return "a host name, an address, a socket folder, or several separated by commas"

    def parse(self, text: str, folder: Path) -> str:
        if "://" in text:
            raise Refused(
                f"{self.allowed}, not a connection string; PORT, USER, PW and DB are keys of their own"
            )
        for host in super().parse(text, folder).split(","):
            self._check(host.strip())
        return ",".join(host.strip() for host in text.split(","))

    def _check(self, host: str) -> None:
        if re.fullmatch(r"[^:/@]+:[0-9]+", host):
            raise Refused(f"{self.allowed}, without a port; the port is the key PORT")
        is_folder = host.startswith(("/", "@"))
        if not host or (not is_folder and re.search(r"[\s/@]", host)):
            raise ValueError


@dataclass(frozen=True)
class Ports(_Plain):
    """libpq's port: one for all hosts, or a list with one for each host."""

    @property
    def allowed(self) -> str:
        return "a port from 1 to 65535, or one for each host separated by commas"

    def parse(self, text: str, folder: Path) -> int | str:
        ports = [Whole(1, 65535).parse(part, folder) for part in text.split(",")]
        return ports[0] if len(ports) == 1 else ",".join(map(str, ports))


@dataclass(frozen=True)
class Origins(_Plain):
    """Web origins separated by commas or white space; `*` alone means all, nothing means none."""

    @property
    def allowed(self) -> str:
        return "* or origins such as https://app.example:8443, separated by commas"

    def parse(self, text: str, _folder: Path) -> tuple[str, ...]:
        origins = tuple(text.replace(",", " ").split())
        if "*" in origins and len(origins) > 1:
            raise Refused("* alone or a list of origins, not both")
        for origin in origins:
            if origin != "*" and not _is_origin(origin):
                raise ValueError
        return origins

    def show(self, value: Any) -> str:
        return ", ".join(value)


def _is_origin(text: str) -> bool:
    """True for scheme://host[:port] and nothing after it, which is what a browser sends."""
    parts = urlsplit(text)  # a ValueError, for a broken IPv6 address, is ours as well
    bare = f"{parts.scheme}://{parts.netloc}"
    return bool(parts.hostname) and "@" not in text and "*" not in text and text.lower() == bare.lower()


@dataclass(frozen=True)
class ReadableFile(_Plain):
    """The path of a file that can be read now; some keys also know a word in its place."""

    words: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        return " or ".join((*self.words, "the path of a file that can be read"))

    def parse(self, text: str, folder: Path) -> str:
        if text in self.words:
            return text
        path = folder / Path(Text().parse(text, folder)).expanduser()
        if not path.is_file():
            raise Refused(f"{self.allowed}; there is no file {str(path)!r}")
        return str(path)


@dataclass(frozen=True)
class KeySetSource(_Plain):
    """Where a JSON Web Key Set is: a URL, or a file that can be read now. A URL may hold a secret."""

    @property
    def open(self) -> bool:
        return False

    @property
    def allowed(self) -> str:
        return "an http or https URL, or the path of a file that can be read"

    def parse(self, text: str, folder: Path) -> str:
        if "://" not in text:
            return ReadableFile().parse(text, folder)
        parts = urlsplit(Text().parse(text, folder).strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
        return text.strip()


@dataclass(frozen=True)
class RedisUrl(Text):
    """Where a Redis is, in the form that its clients know."""

    @property
    def allowed(self) -> str:
        return "an address such as redis://host:6379/0, or rediss:// for one that is encrypted"

    def parse(self, text: str, folder: Path) -> str:
        parts = urlsplit(super().parse(text, folder).strip())
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError
        _ = parts.port  # a ValueError for one that is no number
        return text.strip()


@dataclass(frozen=True)
class Folder(_Plain):
    """The path of a folder, which need not exist yet."""

    @property
    def allowed(self) -> str:
        return "the path of a folder"

    def parse(self, text: str, folder: Path) -> Path:
        if not text.strip():
            raise ValueError
        path = folder / Path(Text().parse(text, folder)).expanduser()
        if path.exists() and not path.is_dir():
            raise Refused(f"{self.allowed}; {str(path)!r} is none")
        return path
