"""Room on the disk for a file that is mapped: on a full disk, a write into a hole of it kills the process."""

import errno
import os

_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL)
"""What some C libraries answer for file systems that cannot reserve room."""

_PIECE = 1 << 16


def allocate(descriptor: int, size: int, start: int = 0) -> None:
    """Have the file's `size` bytes from `start` on be on the disk, zeros where there was nothing.

    OSError where there is no room. Without the system's help only what is beyond the file's end is written.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, start, size)
        except OSError as exc:
            if exc.errno not in _CANNOT:
                raise
        else:
            return
    at = os.fstat(descriptor).st_size
    while at < start + size:
        at += os.pwrite(descriptor, bytes(min(_PIECE, start + size - at)), at)
