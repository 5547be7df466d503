"""Read by the plain `gunicorn` command when it is started in this folder. Each choice is explained where it is made."""

from swagger_server.gunicorn_settings import *  # noqa: F403
