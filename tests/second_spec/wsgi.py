"""How somebody serves a spec of their own: the settings and databases as always, their controllers."""

from pathlib import Path

from swagger_server import log
from swagger_server.app import create_app
from swagger_server.config import load_settings

settings = load_settings()
log.configure(settings.server)
application = create_app(
    settings,
    {name: found.connect_kwargs() for name, found in settings.databases.items()},
    spec=Path(__file__).with_name("openapi.yaml"),
)
application.start()
