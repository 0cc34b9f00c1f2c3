"""The one table of facts and who follows them."""

from __future__ import annotations

from typing import LiteralString, cast

from gantry.facts import Arrived, Settled, StudyEnded, subscribe
from gantry.facts.kinds import Delivered
from gantry.facts.subscribe import QueueFunction

#: For searches of studies: something of study s waits for a person to let it go.
HELD_BACK: LiteralString = (
    "(EXISTS (SELECT FROM transfers_delivery d WHERE d.study_id = s.id AND d.status = 'held') "
    "OR EXISTS (SELECT FROM routing_heldinstance k WHERE k.study_id = s.id AND k.state = 'held'))"
)


def subscribe_all() -> None:
    """Fill the table; called once per process when Django is ready."""
    from gantry.accounts import institutes
    from gantry.catalogue import search_conditions
    from gantry.catalogue import work as catalogue
    from gantry.routing import work
    from gantry.transfers import heal, recycle  # noqa: F401  queue functions outside a file work.py

    subscribe(Arrived, cast("QueueFunction", work.route_arrived))
    subscribe(Arrived, cast("QueueFunction", catalogue.belong_arrived))
    subscribe(Settled, cast("QueueFunction", work.route_settled))
    subscribe(StudyEnded, cast("QueueFunction", work.route_ended))
    subscribe(Delivered, cast("QueueFunction", work.route_next))
    institutes.wiring.sort_studies = catalogue.belong_everything.defer
    search_conditions.wiring.held_back = HELD_BACK
