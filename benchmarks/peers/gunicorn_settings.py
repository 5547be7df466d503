"""gunicorn's settings for the peers: as quiet as for our service."""

workers = 2
accesslog = None
control_socket_disable = True
