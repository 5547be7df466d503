"""Where the package's own files are, installed or in a checkout."""

from pathlib import Path

SPEC = Path(__file__).parent / "swagger" / "swagger.yaml"
STATIC = Path(__file__).parent / "static"
