"""What can go wrong while the house is put together. Each says what happened and what to do.

SetupError
|- HomeError
|  |- HomeMissing        no home there
|  |- NotAHome           a folder with other people's things in it
|  |- HomeIsNewer        made by a newer version
|  |- HomeBusy           another process runs on it
|- DatabaseError
|  |- PostgresMissing    the embedded binaries are not installed
|  |- PostgresNeedsUser  started as root where no other user may go
|  |- PostgresFailed     initdb or postgres ended with an error
|  |- DatabaseUnreachable
|  |- DatabaseTooOld
|- PortTaken
"""

from __future__ import annotations


class SetupError(Exception):
    """The product cannot run like this: `cause` in one line, `remedy` in another."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause}. {remedy}" if remedy else cause)
        self.cause = cause
        self.remedy = remedy


class HomeError(SetupError):
    """The home cannot be used."""


class HomeMissing(HomeError):
    """There is no home at this place."""


class NotAHome(HomeError):
    """The folder holds things that are not ours."""


class HomeIsNewer(HomeError):
    """The home was made by a newer version."""


class HomeBusy(HomeError):
    """Another process runs on this home."""


class DatabaseError(SetupError):
    """The database cannot be used."""


class PostgresMissing(DatabaseError):
    """The embedded PostgreSQL is not installed."""


class PostgresNeedsUser(DatabaseError):
    """PostgreSQL refuses to run as root, and no other user can be used here."""


class PostgresFailed(DatabaseError):
    """`initdb` or `postgres` ended with an error."""


class DatabaseUnreachable(DatabaseError):
    """No connection to the database."""


class DatabaseTooOld(DatabaseError):
    """The server is older than PostgreSQL 15."""


class PortTaken(SetupError):
    """Another program listens on the address."""
