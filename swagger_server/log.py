"""How log records are written: one line of text or one JSON object each, with the request's id.

Owns the root logger's handler. What is logged, and at which level, is for the modules that log; fields
travel as `extra={...}` and come out as key=value, or as members of the JSON object.
"""

import functools
import json
import logging
import re
import sys
import time
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from swagger_server import request_id
from swagger_server.config import ServerSettings

ACCESS = "swagger_server.access"
"""The logger of the requests: always one line each, whatever is in the path."""

# What every record has, and what only repeats the message: the rest are fields that somebody gave.
_NO_FIELD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}

# Control characters (but line ends) could rewrite a terminal's screen; they arrive in paths and messages.
_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160)) if code != 10}


# Libraries whose INFO is of use to who looks for a fault only; they speak at DEBUG.
_CHATTY = ("connexion",)

# What the id is outside of a request.
_OUTSIDE = "-"


class _Handler(logging.StreamHandler[Any]):
    """The root logger's handler; a class of its own, so that `configure` finds it again."""


def configure(settings: ServerSettings) -> None:
    """Write all log records to stderr in the format and from the level on that the settings name.

    May be called again, also in a forked worker. gunicorn's own lines follow when the format is JSON.
    """
    # What no line of ours says need not be found out for each.
    logging.logThreads = logging.logMultiprocessing = False
    handler = _Handler(sys.stderr)
    handler.setFormatter(_formatter(settings.log_format))
    handler.addFilter(_add_request_id)
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    for library in _CHATTY:
        logging.getLogger(library).setLevel("DEBUG" if settings.log_level == "DEBUG" else "WARNING")
    if settings.log_format == "json":
        _share_formatter("gunicorn.error", handler.formatter)


def _formatter(name: str) -> logging.Formatter:
    return _Json() if name == "json" else _Text()


def _share_formatter(logger: str, formatter: logging.Formatter | None) -> None:
    """For a logger with handlers of its own that does not pass its records on to the root."""
    for handler in logging.getLogger(logger).handlers:
        handler.setFormatter(formatter)


def _add_request_id(record: logging.LogRecord) -> bool:
    """Give a record that was made inside a request the request's id, if it has none."""
    current = request_id.current.get()
    if current != _OUTSIDE and not hasattr(record, "request_id"):
        record.request_id = current
    return True


def _timestamp(record: logging.LogRecord) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return f"{_to_the_second(int(record.created))}.{int(record.msecs):03d}Z"


@functools.lru_cache(maxsize=8)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in record.__dict__.items() if name not in _NO_FIELD]


def _unsaid_fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """The fields that the message does not hold already, as one of its arguments."""
    said = set(map(id, record.args)) if isinstance(record.args, tuple) else ()
    return [(name, value) for name, value in _fields(record) if id(value) not in said]


class _Text(logging.Formatter):
    """TIME LEVEL [PID] LOGGER MESSAGE key=value ...; further lines, of a traceback say, are indented.

    The indentation keeps a line end in a message from passing for a record of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_timestamp(record)} {record.levelname} [{record.process}] {record.name}"
        fields = "".join(f" {name}={_value(value)}" for name, value in _unsaid_fields(record))
        return f"{head} {_message(record)}{fields}{self._trace(record)}"

    def _trace(self, record: logging.LogRecord) -> str:
        texts = (self.formatException(record.exc_info) if record.exc_info else "", record.stack_info)
        return "".join(f"\n    {_printable(text)}" for text in texts if text)


def _message(record: logging.LogRecord) -> str:
    text = _printable(record.getMessage())
    return text.replace("\n    ", "\\x0a") if record.name == ACCESS else text


def _printable(text: str) -> str:
    return text if text.isprintable() else text.translate(_ESCAPED).replace("\n", "\n    ")


def _value(value: Any) -> str:
    """A field's value as one word: numbers as they are, text in quotes where it would not be one word."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    return text if text.isprintable() and _ONE_WORD.fullmatch(text) else json.dumps(text)


_ONE_WORD = re.compile(r'[^ "=]+')


class _Json(JsonFormatter):
    """One object a record: timestamp, level, logger, pid, message, the fields, and exc_info as text."""

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(process)d %(message)s",
            rename_fields={"levelname": "level", "name": "logger", "process": "pid"},
            reserved_attrs=sorted(_NO_FIELD),
        )

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        log_data["timestamp"] = _timestamp(record)
        super().add_fields(log_data, record, message_dict)
