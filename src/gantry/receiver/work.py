"""Queue functions of the receiver: what is told to callers after their association."""

from __future__ import annotations

import threading
from contextlib import closing

from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from gantry import config, database
from gantry.nodes.commit import forget_old
from gantry.receiver.report import forget_ended, report


class _Stop(threading.Event):
    """Set when the queue wants this job to end."""

    def __init__(self, context: JobContext) -> None:
        super().__init__()
        self._context = context

    def is_set(self) -> bool:
        return self._context.should_abort()

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        return self.is_set()


@app.task(
    name="gantry.receiver.work.report_commitment",
    queue="commitments",
    pass_context=True,
    retry=RetryStrategy(max_attempts=20, exponential_wait=2),
)
def report_commitment(context: JobContext, commitment_id: int) -> None:
    """Report one storage commitment; a failed attempt arranges the next one itself."""
    with closing(database.connect(autocommit=True, application="gantry-commitment")) as connection:
        report(connection, config.current().home, commitment_id, _Stop(context))


@app.periodic(cron="23 3 * * *")
@app.task(name="gantry.receiver.work.clean_commitments", queue="commitments", queueing_lock="clean-commitments")
def clean_commitments(timestamp: int) -> None:
    """Each night: forget storage commitments, theirs and ours, that ended longer ago than `commitment_days`."""
    with closing(database.connect(autocommit=True, application="gantry-commitment")) as connection:
        days = config.current().commitment_days
        forget_ended(connection, days)
        forget_old(connection, days)
