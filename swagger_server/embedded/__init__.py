"""The default database for a machine without one: a PostgreSQL of our own, shared by its users.

`ensure_running` starts the server or joins the running one. Whoever called it counts as a user until the
process ends, however it ends, and so do its forks; when the last user is gone the server stops. Data
stay in the folder.

Standard library only, so that the supervisor starts lean. Knows nothing of settings files, Flask, or places.
"""

from .binaries import available
from .client import EmbeddedServer, ensure_running
from .errors import EmbeddedError

__all__ = ["EmbeddedError", "EmbeddedServer", "available", "ensure_running"]
