"""The sample data: the world's countries, cities and airports, ready to load.

`data/ATTRIBUTION.md` says where they come from and under which terms.
"""

from swagger_server.sample.cities import DEFAULT_SET, SETS, SampleError
from swagger_server.sample.load import is_loaded, load_places

__all__ = ["DEFAULT_SET", "SETS", "SampleError", "is_loaded", "load_places"]
