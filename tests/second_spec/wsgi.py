"""How somebody serves a spec of their own."""

from pathlib import Path

from swagger_server.startup import load_application

application = load_application(Path(__file__).with_name("openapi.yaml"))
