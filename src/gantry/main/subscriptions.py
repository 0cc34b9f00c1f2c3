"""The one table of facts and who follows them."""

from __future__ import annotations

from typing import cast

from gantry.facts import Arrived, Settled, subscribe
from gantry.facts.subscribe import QueueFunction


def subscribe_all() -> None:
    """Fill the table; called once per process when Django is ready."""
    from gantry.routing import work

    subscribe(Arrived, cast("QueueFunction", work.route_arrived))
    subscribe(Settled, cast("QueueFunction", work.route_settled))
