"""Route: send a study to nodes, by a person. On the router that has the path: of two only the first is asked."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Schema, Status
from pydantic import ConfigDict, Field

from gantry.accounts import connection, see
from gantry.accounts.page import Text, Uid
from gantry.accounts.route import actor_of, check_node, may
from gantry.accounts.sign_in import address_of
from gantry.audit.record import by_actor
from gantry.transfers.api import router
from gantry.transfers.by_hand import send_by_hand

__all__ = ["router"]  # with the route of this file


class SendIn(Schema):
    """What to send where."""

    model_config = ConfigDict(extra="forbid")

    study_instance_uid: Uid
    nodes: Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1, max_length=20, examples=[["archive"]])]
    priority: int = Field(default=0, ge=0, le=1000, description="Higher goes first; 100 and more is urgent")


class SentTo(Schema):
    """What was ordered to one node."""

    node: str = Field(examples=["archive"])
    ordered: int = Field(
        description="Instances that go there now; the others were ordered before: POST /deliveries/resend sends again"
    )


class SendOut(Schema):
    """What was ordered."""

    study_instance_uid: str
    instances: int = Field(description="Of the study, now")
    nodes: list[SentTo]


@router.post("/deliveries", auth=may("deliveries.send"), response={202: SendOut}, summary="Send a study")
def send_study(request: HttpRequest, body: SendIn) -> Status[dict[str, Any]]:
    """Order all that is there of a study to some nodes. What was ordered to a node before is left as it is."""
    actor = actor_of(request)
    see.study(actor, "deliveries.send", body.study_instance_uid)
    for name in body.nodes:
        check_node(actor, name)
    sent = send_by_hand(
        connection.of_request(),
        body.study_instance_uid,
        body.nodes,
        by=by_actor(actor, address_of(request)),
        priority=body.priority,
    )
    return Status(202, {"study_instance_uid": sent.study_instance_uid, "instances": sent.instances, "nodes": sent.nodes})
