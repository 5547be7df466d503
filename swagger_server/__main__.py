"""`python -m swagger_server`."""

import sys

from swagger_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
