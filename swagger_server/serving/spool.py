"""A request's body in a temporary file: what is too large for memory is written down as it comes.

The file has no name where the system allows that, so that nothing of it is left when the process is killed.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from swagger_server.serving.body_faults import BodyTooLarge, NoRoomForBody

log = logging.getLogger(__name__)

_IN_MEMORY = 65_536
"""Bytes up to which a body needs no file."""


class Spool:
    """A body of at most `limit` bytes, first written, then read. `folder` is where its file is (None: the system's)."""

    def __init__(self, limit: int, folder: Path | None) -> None:
        self._limit = limit
        self.size = 0
        self.on_close: Callable[[], None] = _nothing
        """May be called more than once, and by the garbage collector."""
        # Closed by whoever answers the request, or with the last reference.
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            _IN_MEMORY, dir=None if folder is None else str(folder)
        )

    def write(self, pieces: Iterable[bytes]) -> None:
        """Add to the body. Waits for the disk; raises BodyTooLarge and NoRoomForBody."""
        for piece in pieces:
            self.size += len(piece)
            if self.size > self._limit:
                raise BodyTooLarge(self._limit)
            try:
                self.file.write(piece)
            except OSError as exc:
                raise _no_room(exc) from exc

    def finish(self) -> None:
        """The body is complete: make it ready to be read. Waits and raises as `write`."""
        try:
            self.file.flush()
            self.rewind()
        except OSError as exc:
            raise _no_room(exc) from exc

    def rewind(self) -> None:
        """Have it read from its beginning."""
        self.file.seek(0)

    def close(self) -> None:
        """Do away with the body."""
        # What a full disk had no room for, nobody wants any more.
        with suppress(OSError):
            self.file.close()
        self.on_close()

    def __del__(self) -> None:
        self.close()


def _nothing() -> None:
    """Nobody waits for the end of the body."""


def _no_room(exc: OSError) -> NoRoomForBody:
    log.error("a request's body could not be written to a temporary file: %s", exc)
    return NoRoomForBody()
