"""A spec-first JSON API over PostgreSQL: the spec routes to controllers, controllers use g.db."""

import warnings

__version__ = "1.0.0"

# Connexion imports Starlette's test client, which tells whoever starts the service about its own future.
warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient` is deprecated")
