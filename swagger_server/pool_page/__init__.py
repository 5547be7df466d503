"""`/pool`: every connection of every worker at this moment, who has it and who waits for one. As a page, and as JSON.

Owns the picture, and how a worker gets those of the others. Knows the binding and its pools; works for any spec.
"""

from swagger_server.pool_page.page import PATHS, PoolPage

__all__ = ["PATHS", "PoolPage"]
