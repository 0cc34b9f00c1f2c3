"""What every command shares: where the home is, and how to get at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

from gantry import config as settings
from gantry.config import Config

if TYPE_CHECKING:
    import psycopg

    from gantry.main.home import Home

_home: Path | None = None


class OrList(TyperGroup):
    """A group whose first word may be left out: then it lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), "")
        if first not in self.commands and not {"-h", "--help"} & set(args):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def choose_home(home: Path | None) -> None:
    """Take --home for this command."""
    global _home  # noqa: PLW0603  one process runs one command
    if home is not None:
        _home = home


def load(overrides: Mapping[str, Any] | None = None) -> Config:
    """The settings of this command. Raises ConfigError."""
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    return settings.use(settings.load(_home, given))


@contextmanager
def house(*, create: bool = True) -> Iterator[Home]:
    """The home with its database and Django ready. Raises ConfigError, SetupError."""
    from gantry.main import session

    with session.opened(load(), create=create) as home:
        yield home


@contextmanager
def connected(*, create: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """As house(), with a connection of our own that commits by itself."""
    from gantry import database

    with house(create=create), database.connect(autocommit=True, application="gantry-cli") as connection:
        yield connection
