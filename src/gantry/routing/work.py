"""Queue functions of routing: subscribers of the facts Arrived and Settled (see main/subscriptions.py)."""

from __future__ import annotations

from contextlib import closing
from uuid import UUID

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from gantry import database
from gantry.routing import route

_RETRY = RetryStrategy(max_attempts=20, exponential_wait=2)


@app.task(name="gantry.routing.work.route_arrived", queue="routing", retry=_RETRY)
def route_arrived(batch_id: str) -> None:
    """Route what a committed batch brought."""
    with closing(database.connect(application="gantry-route")) as connection:
        route.route_batch(connection, UUID(batch_id))


@app.task(name="gantry.routing.work.route_settled", queue="routing", retry=_RETRY)
def route_settled(study_id: int) -> None:
    """Route a study that has gone quiet."""
    with closing(database.connect(application="gantry-route")) as connection:
        route.route_study(connection, study_id)
