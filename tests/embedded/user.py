"""A process that uses the embedded server: says where that is, then obeys its standard input, a word a line.

Run with a data folder, or "" for the default one; "no-wheel" as a second argument hides the wheel.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from swagger_server.embedded import EmbeddedError, ensure_running


def main(data: str, *options: str) -> int:
    if "no-wheel" in options:
        importlib.util.find_spec = lambda *_: None
    _report(data)
    for line in sys.stdin:
        word = line.strip()
        if word == "again":
            _report(data)
        elif word == "fork":
            print(_fork(), flush=True)
        elif word == "exec":
            print(subprocess.Popen(["sleep", "600"], close_fds=False).pid, flush=True)
    return 0


def _report(data: str) -> None:
    try:
        server = ensure_running(Path(data) if data else None)
    except EmbeddedError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print(json.dumps({"connect_kwargs": server.connect_kwargs, "data": str(server.data)}), flush=True)


def _fork() -> int:
    child = os.fork()
    if child == 0:
        signal.pause()
    return child


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
