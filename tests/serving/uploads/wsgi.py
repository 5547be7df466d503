"""The uploads as a service without a database, on a disk that has no room for a file of more than 8 MiB."""

import resource
from pathlib import Path

from swagger_server.app import create_app
from swagger_server.config import load_settings

resource.setrlimit(resource.RLIMIT_FSIZE, (8_388_608, resource.RLIM_INFINITY))

application = create_app(load_settings(), {}, spec=Path(__file__).with_name("openapi.yaml"))
