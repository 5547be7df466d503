"""The supervisor's entry point: `python -I -S .../embedded/__main__.py DATA PROGRAMS CONNECTIONS`; see `client`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # isolated mode leaves the checkout, and an installed package's folder, off the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from swagger_server.embedded.supervisor import main

    sys.exit(main(sys.argv[1:]))
