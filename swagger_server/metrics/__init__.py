"""What the service has done and how it stands, for Prometheus: `/metrics`, right across all of its workers.

Owns the metrics and how they are collected; what is counted comes from the edge (requests) and from the pools. Knows
neither Connexion nor the settings.
"""

from swagger_server.metrics.metrics import PATH, Metrics

__all__ = ["PATH", "Metrics"]
