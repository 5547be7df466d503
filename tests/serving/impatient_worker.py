"""The worker, with little patience for clients that say nothing."""

from swagger_server.serving import stopping
from swagger_server.serving.worker import Worker

stopping.SILENCE = 0.4

__all__ = ["Worker"]
