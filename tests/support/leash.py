"""Run a program until it ends or our starter does: `python -I -S leash.py ACCOUNT COMMAND...`.

Keeps a killed test run from leaving servers behind. ACCOUNT is JSON: arguments of `subprocess.Popen`.
The program's pid is printed; the end of our standard input is the sign that the starter has ended.
"""

import json
import signal
import subprocess
import sys
import threading


def main(account: str, *command: str) -> int:
    # A test run in the background of a shell has it ignored, and so would the program.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        process_group=0,
        **json.loads(account),
    )
    print(child.pid, flush=True)
    threading.Thread(target=_end_with_starter, args=(child,), daemon=True).start()
    return child.wait()


def _end_with_starter(child: "subprocess.Popen[bytes]") -> None:
    sys.stdin.read()
    child.send_signal(signal.SIGQUIT)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
