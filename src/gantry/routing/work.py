"""Queue functions of routing: subscribers of facts (see main/subscriptions.py), quiet times, ordered replays."""

from __future__ import annotations

from uuid import UUID

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from gantry.routing import route, waiting
from gantry.routing.connections import lent
from gantry.routing.load import active_rules

_RETRY = RetryStrategy(max_attempts=20, exponential_wait=2)


@app.task(name="gantry.routing.work.route_arrived", queue="routing", retry=_RETRY)
def route_arrived(batch_id: str) -> None:
    """Route what a committed batch brought."""
    with lent() as connection:
        active = active_rules(connection)
        route.route_batch(connection, UUID(batch_id), active)
        waiting.after_batch(connection, UUID(batch_id), active)


@app.task(name="gantry.routing.work.route_settled", queue="routing", retry=_RETRY)
def route_settled(study_id: int) -> None:
    """Route a study that has gone quiet."""
    with lent() as connection:
        route.route_study(connection, study_id)


@app.task(name="gantry.routing.work.route_ended", queue="routing", retry=_RETRY)
def route_ended(study_id: int) -> None:
    """Route a study whose last association is closed."""
    with lent() as connection:
        route.route_study(connection, study_id, "association")


@app.task(name="gantry.routing.work.route_quiet", queue="routing", retry=_RETRY)
def route_quiet(study_id: int, quiet_seconds: float) -> None:
    """Route a study for rules with a quiet time of their own, or look again later."""
    with lent() as connection:
        waiting.after_quiet(connection, study_id, quiet_seconds)


@app.task(name="gantry.routing.work.route_next", queue="routing", retry=_RETRY)
def route_next(study_id: int, node_id: int) -> None:
    """Go on with rules that send in order."""
    with lent() as connection:
        route.route_next(connection, study_id, node_id)


@app.task(name="gantry.routing.work.run_replay", queue="routing")
def run_replay(replay_id: str) -> None:
    """Run a replay that was ordered over REST."""
    from gantry.routing.ordered_replay import run_ordered

    run_ordered(UUID(replay_id))
