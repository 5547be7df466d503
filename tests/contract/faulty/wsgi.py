"""The faulty service for gunicorn."""

from pathlib import Path

from swagger_server.app import create_app
from swagger_server.config import Settings

application = create_app(Settings(), {}, spec=Path(__file__).with_name("openapi.yaml"))
application.start()
