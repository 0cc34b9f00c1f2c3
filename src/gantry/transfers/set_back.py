"""The clock was set back, while we ran or before: what was to happen at a time that is now far away happens now.

Times in the tables are those of the database's clock. Nothing here depends on how far it was set back, or on how often
this is called: only what was written in what is now the future is touched.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import psycopg

from gantry import database
from gantry.transfers.ledger import LEASE_SECONDS

_log = logging.getLogger(__name__)
#: Clocks of several hosts may differ by so much, seconds, and time services move a clock by less than this.
SLACK_SECONDS = 30.0
_STATEMENTS = ("due_again", "shorten_leases", "verify_again", "end_pauses", "start_jobs", "free_periodic", "workers_again")


def put_right(connection: psycopg.Connection) -> int:
    """To be called at the start of each worker process and now and then; gives the number of rows that lay in the future."""
    queries = database.statements("gantry.transfers", "clock.sql")
    values = {"slack": SLACK_SECONDS, "lease_seconds": LEASE_SECONDS}
    with connection.transaction():
        changed = sum(connection.execute(queries[name], values).rowcount for name in _STATEMENTS)
    if changed:
        _log.warning("the clock was set back: %d appointments that lay in the future are due now", changed)
    return changed


@dataclass(slots=True)
class Watch:
    """Tells when the clock of this host was set back since it was made, by the clock that nobody sets."""

    _offset: float = field(default_factory=lambda: time.time() - time.monotonic())

    def seconds_back(self) -> float:
        """By how much; 0.0 when by less than SLACK_SECONDS. A clock that was set forward is taken as it is."""
        offset = time.time() - time.monotonic()
        back = self._offset - offset
        self._offset = max(self._offset, offset)
        return back if back > SLACK_SECONDS else 0.0
