"""The web process: REST, administration pages, health and metrics, served by uvicorn."""

from __future__ import annotations

import logging
import os
import signal
from types import FrameType
from typing import cast

from gantry import config as settings
from gantry.config import Config
from gantry.main import ports

log = logging.getLogger("gantry.web")

#: Connections at once, live ones and those kept open between requests too; more are answered 503 (asgi_limits.Busy
#: says how many requests).
MAX_CONNECTIONS = 1500
#: Connections to the database that these threads share.
POOL = {"min_size": 1, "max_size": 16, "timeout": 10, "max_idle": 120}
GRACE_SECONDS = 10


def _share_connections() -> None:
    """Django keeps a connection per thread, and here threads live for one request: share a pool instead."""
    from django.conf import settings as django_settings

    database = django_settings.DATABASES["default"]
    database["CONN_MAX_AGE"] = 0
    database["OPTIONS"] = {**cast("dict[str, object]", database["OPTIONS"]), "pool": POOL}


class _NoPaths(logging.Filter):
    """Django logs each refused request with its path, and a path holds what a client put there, a Patient ID too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop refusals (asgi_limits logs the shape of each request at DEBUG); of faults keep the route instead of the path."""
        if record.levelno < logging.ERROR:
            return False
        request = getattr(record, "request", None)
        match = getattr(request, "resolver_match", None)
        record.msg, record.args = "fault in /%s", (match.route if match else "?",)
        return True


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT, let open requests end, give the exit code. Raises SetupError."""
    settings.use(config)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.main.django_settings")
    listener = ports.listen(config.http, "http")
    _share_connections()
    import uvicorn

    from gantry.main.asgi import application

    logging.getLogger("django.request").addFilter(_NoPaths())
    from gantry.facts.live import broker

    class Server(uvicorn.Server):
        """Ends live connections as soon as it is asked to stop; they would not end by themselves."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            broker.stop()
            super().handle_exit(sig, frame)

    server = Server(uvicorn.Config(
        application, loop="uvloop", http="h11", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_SECONDS, ws="none",
    ))  # fmt: skip
    # uvicorn raises the signal again once it has stopped; a stop that was asked for is a success.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    log.info("serving on %s:%s", *listener.getsockname()[:2])
    with listener:
        server.run(sockets=[listener])
    return 0
