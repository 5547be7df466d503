"""Files of rows, CSV or JSON lines, read row by row: what is wrong with one is told, and the next one is read.

Owns the two formats, and how CSV, which knows nothing but text, holds numbers, lists and objects: an empty cell is
nothing at all, a list has its items on lines of their own, an object is JSON. Must not know what the rows are about.

**Formulas.** A spreadsheet takes a text that begins with =, +, - or @ for a formula, and there are formulas that send
what is in other cells to somebody. So whoever writes such a text into a cell puts an apostrophe in front of it and of
the apostrophes that it may begin with, as spreadsheets themselves mark a text. It is read without the first of them:
what was written is read back as it was.
"""

import csv
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

LONGEST_ROW = 262_144
"""Bytes of a row, at most."""


class BadRow(NamedTuple):
    """What is wrong with the row that begins at `line`; `field` is None where it is the row as a whole."""

    line: int
    field: str | None
    reason: str


class BadHeader(Exception):
    """The first line of a CSV file does not name columns as it should: its rows have no meaning."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.fault = BadRow(1, field, reason)


Row = tuple[int, dict[str, Any] | BadRow]
"""The line at which it begins, and its values by name, or why it has none."""

_NOT_UTF8 = "is not UTF-8"
_TOO_LONG = f"is longer than {LONGEST_ROW} bytes"
_BOM = b"\xef\xbb\xbf"


class _TooLong(Exception):
    """A row has more bytes than a row may have."""


class _Lines:
    """The lines of a file as text, and what is to be known of those of the row that is being read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.number = 0
        """Of the last line, from 1 on."""
        self._size = 0
        self.is_garbled = False

    def begin_row(self) -> None:
        self._size, self.is_garbled = 0, False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        raw = self._file.readline(LONGEST_ROW + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        self._size += len(raw)
        if self._size > LONGEST_ROW:
            raise _TooLong
        if self.number == 1:
            raw = raw.removeprefix(_BOM)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.is_garbled = True
            return raw.decode(errors="replace")

    def skip(self) -> None:
        """The rest of a line that is too long."""
        while (piece := self._file.readline(LONGEST_ROW)) and not piece.endswith(b"\n"):
            pass


Loads = Callable[[str], Any]
"""The value of a JSON text; ValueError where it is none."""


def json_rows(file: IO[bytes], loads: Loads = json.loads) -> Iterator[Row]:
    """The rows of a file of JSON objects, one a line; empty lines are none."""
    lines = _Lines(file)
    while True:
        lines.begin_row()
        try:
            text = next(lines)
        except StopIteration:
            return
        except _TooLong:
            lines.skip()
            yield lines.number, BadRow(lines.number, None, _TOO_LONG)
            continue
        if lines.is_garbled:
            yield lines.number, BadRow(lines.number, None, _NOT_UTF8)
        elif not text.isspace():
            yield lines.number, _object(text, lines.number, loads)


def _object(text: str, line: int, loads: Loads) -> dict[str, Any] | BadRow:
    try:
        value = loads(text)
    except (ValueError, RecursionError) as exc:
        return BadRow(line, None, f"is not valid JSON: {exc}")
    return value if isinstance(value, dict) else BadRow(line, None, "is no JSON object")


def csv_rows(
    file: IO[bytes], kinds: Mapping[str, str], required: Iterable[str] = (), loads: Loads = json.loads
) -> Iterator[Row]:
    """The rows of a CSV file whose first row names the columns; empty lines are none.

    `kinds` are the JSON types of the columns that there may be. What is no value of its kind is left a text. Raises
    BadHeader at once.
    """
    lines = _Lines(file)
    cells = csv.reader(lines, strict=True)
    header = _header(lines, cells, kinds, required)
    readers: dict[str, _Reader] = {**_READERS, "object": functools.partial(_json, loads)}
    return _rows_of_cells(lines, cells, [(name, readers[kinds[name]]) for name in header])


_Reader = Callable[[str], Any]


def _rows_of_cells(
    lines: _Lines, reader: Iterator[list[str]], readers: Sequence[tuple[str, _Reader]]
) -> Iterator[Row]:
    while True:
        lines.begin_row()
        line = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            yield line, BadRow(line, None, f"is not valid CSV: {exc}")
            continue
        except _TooLong:
            # Nobody knows where the next row begins: there may be a quotation mark missing.
            yield line, BadRow(line, None, f"{_TOO_LONG}; what follows was not read")
            return
        if lines.is_garbled:
            yield line, BadRow(line, None, _NOT_UTF8)
        elif cells:
            yield line, _values(cells, readers, line)


def _header(
    lines: _Lines, reader: Iterator[list[str]], known: Mapping[str, str], required: Iterable[str]
) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as exc:
        raise BadHeader(None, f"is not valid CSV: {exc}") from None
    except _TooLong:
        raise BadHeader(None, _TOO_LONG) from None
    if lines.is_garbled:
        raise BadHeader(None, _NOT_UTF8)
    for number, name in enumerate(header):
        if name not in known:
            raise BadHeader(name[:100], _unknown(name, known))
        if name in header[:number]:
            raise BadHeader(name, "is named twice")
    for name in required:
        if name not in header:
            raise BadHeader(name, "is missing in the first line, which has to name the columns")
    return header


_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def _unknown(name: str, known: Iterable[str]) -> str:
    for separator, plural in _OTHER_SEPARATORS.items():
        if separator in name:
            return f"is no column: fields are to be separated by commas, not by {plural}"
    return "is no column; there are " + ", ".join(known)


def _values(
    cells: Sequence[str], readers: Sequence[tuple[str, _Reader]], line: int
) -> dict[str, Any] | BadRow:
    if len(cells) != len(readers):
        return BadRow(line, None, f"has {len(cells)} cells, the first line {len(readers)}")
    return {name: read(cell) for (name, read), cell in zip(readers, cells, strict=True) if cell}


_MARKED = re.compile("'+[=+@-]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INTEGER = re.compile("[+-]?[0-9]{1,20}", re.ASCII)


def _text(cell: str) -> str:
    return cell[1:] if cell[0] == "'" and _MARKED.match(cell) else cell


def _integer(cell: str) -> Any:
    return int(cell) if _INTEGER.fullmatch(cell) else cell


def _number(cell: str) -> Any:
    return float(cell) if _NUMBER.fullmatch(cell) else cell


def _list(cell: str) -> list[str]:
    # Not splitlines(), to which a text has line ends that are none in a file.
    return _text(cell).replace("\r\n", "\n").split("\n")


def _json(loads: Loads, cell: str) -> Any:
    try:
        return loads(cell)
    except (ValueError, RecursionError):
        return cell


_READERS: Mapping[str, _Reader] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "array": _list,
}
"""By the types of JSON Schema; "object" needs to know how JSON is read."""
