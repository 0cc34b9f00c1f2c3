"""What a command or process needs before it can work: the home, the database, Django."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gantry import config as settings
from gantry.config import Config
from gantry.main import home as homes
from gantry.main import migrate, postgres
from gantry.main.home import Home
from gantry.main.postgres import Postgres


def supervised() -> bool:
    """Whether a supervisor started this process (it has made home, database and tables ready)."""
    return bool(os.environ.get("GANTRY_SUPERVISED"))


def set_up_django() -> None:
    """Load the apps; once per process, after GANTRY_DATABASE_URL is set."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.main.django_settings")
    django.setup()


@contextmanager
def database(home: Home, config: Config) -> Iterator[str]:
    """The URL of a database that answers, in GANTRY_DATABASE_URL too.

    The embedded server is used if it runs, and otherwise runs for the length of the block (or longer, when
    others came to use it meanwhile). Raises DatabaseError.
    """
    if config.database_url:
        os.environ["GANTRY_DATABASE_URL"] = config.database_url
        if not supervised():
            migrate.check_server()
        yield config.database_url
        return
    server = Postgres(home)
    claim = server.use()
    os.environ["GANTRY_DATABASE_URL"] = postgres.url(home)
    try:
        yield postgres.url(home)
    finally:
        os.environ.pop("GANTRY_DATABASE_URL", None)
        server.leave(claim)


@contextmanager
def opened(config: Config, *, create: bool = True) -> Iterator[Home]:
    """Home, database with its tables, Django: everything a room's verb needs. Raises SetupError."""
    settings.use(config)
    home = homes.open_home(Path(config.home), create=create)
    with database(home, config):
        set_up_django()
        if not (supervised() or homes.is_claimed(home)):
            migrate.migrate()
        try:
            yield home
        finally:
            _close_connections()


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()
