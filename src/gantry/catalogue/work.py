"""Queue functions of the catalogue: studies are sorted into institutes (see main/subscriptions.py)."""

from __future__ import annotations

from contextlib import closing
from uuid import UUID

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from gantry import database
from gantry.catalogue import belong, search_callers

_RETRY = RetryStrategy(max_attempts=20, exponential_wait=2)


@app.task(name="gantry.catalogue.work.belong_arrived", queue="catalogue", retry=_RETRY)
def belong_arrived(batch_id: str) -> None:
    """Sort what a committed batch brought, and note from whom it came."""
    with closing(database.connect(application="gantry-belong")) as connection:
        belong.belong_batch(connection, UUID(batch_id))
        search_callers.remember(connection, UUID(batch_id))


@app.task(name="gantry.catalogue.work.belong_everything", queue="catalogue", retry=_RETRY)
def belong_everything() -> None:
    """Sort all studies anew, after sources changed."""
    with closing(database.connect(application="gantry-belong")) as connection:
        belong.belong_all(connection)
