"""The web process: REST, administration pages, health and metrics, served by uvicorn."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket

from gantry import config as settings
from gantry.config import Config, split_address
from gantry.main.errors import PortTaken, SetupError

log = logging.getLogger("gantry.web")

#: Requests at once; more are answered 503. Each runs in a thread of its own.
MAX_CONCURRENT = 200
#: Connections to the database that these threads share.
POOL = {"min_size": 1, "max_size": 16, "timeout": 10, "max_idle": 120}
GRACE_SECONDS = 10


def listen(address: str) -> socket.socket:
    """A listening socket on HOST:PORT. Raises PortTaken, SetupError."""
    host, port = split_address(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Another program listens on {address}", "Stop it, or choose another address with --http or GANTRY_HTTP"
            ) from error
        raise SetupError(
            f"Cannot listen on {address}: {error.strerror or error}", "Choose another address with --http or GANTRY_HTTP"
        ) from error
    return listener


def _share_connections() -> None:
    """Django keeps a connection per thread, and here threads live for one request: share a pool instead."""
    from django.conf import settings as django_settings

    database = django_settings.DATABASES["default"]
    database["CONN_MAX_AGE"] = 0
    database["OPTIONS"] = {**database["OPTIONS"], "pool": POOL}


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT, let open requests end, give the exit code. Raises SetupError."""
    settings.use(config)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.main.django_settings")
    listener = listen(config.http)
    _share_connections()
    import uvicorn

    from gantry.main.asgi import application

    server = uvicorn.Server(uvicorn.Config(
        application, loop="uvloop", http="h11", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=MAX_CONCURRENT, timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_SECONDS, ws="none",
    ))  # fmt: skip
    # uvicorn raises the signal again once it has stopped; a stop that was asked for is a success.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    log.info("serving on %s:%s", *listener.getsockname()[:2])
    with listener:
        server.run(sockets=[listener])
    return 0
