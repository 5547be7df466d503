"""A spec-first JSON API over PostgreSQL: the spec routes to controllers, controllers use g.db."""

import warnings

from swagger_server import deferred

__version__ = "1.0.0"

deferred.install()

# Where somebody has imported Connexion before: it imports Starlette's test client, which tells whoever starts the
# service about its own future.
warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient` is deprecated")
