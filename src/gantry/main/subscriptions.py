"""The one table of facts and who follows them."""

from __future__ import annotations

from typing import cast

from gantry.facts import Arrived, Settled, StudyEnded, subscribe
from gantry.facts.kinds import Delivered
from gantry.facts.subscribe import QueueFunction


def subscribe_all() -> None:
    """Fill the table; called once per process when Django is ready."""
    from gantry.accounts import institutes
    from gantry.catalogue import work as catalogue
    from gantry.routing import work
    from gantry.transfers import heal, recycle  # noqa: F401  queue functions outside a file work.py

    subscribe(Arrived, cast("QueueFunction", work.route_arrived))
    subscribe(Arrived, cast("QueueFunction", catalogue.belong_arrived))
    subscribe(Settled, cast("QueueFunction", work.route_settled))
    subscribe(StudyEnded, cast("QueueFunction", work.route_ended))
    subscribe(Delivered, cast("QueueFunction", work.route_next))
    institutes.wiring.sort_studies = catalogue.belong_everything.defer
