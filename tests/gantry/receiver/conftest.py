"""A database that tests of the index and the callers share."""

from tests.gantry.transfers.conftest import connection

__all__ = ["connection"]
