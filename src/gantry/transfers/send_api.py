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
from gantry.audit.record import by_actor, record
from gantry.catalogue.locate import locate
from gantry.catalogue.models import Study
from gantry.nodes import registry
from gantry.transfers.api import router
from gantry.transfers.errors import StudyMissing
from gantry.transfers.order import order

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
    nodes = [registry.get(name) for name in dict.fromkeys(body.nodes)]
    study = Study.objects.filter(study_instance_uid=body.study_instance_uid, trashed_at=None).select_related("patient").first()
    if study is None:
        raise StudyMissing("there is no study of this Study Instance UID")
    raw = connection.of_request()
    with raw.transaction():
        versions = [found.version_id for found in locate(raw, study_id=study.pk)]
        sent = [{"node": node.name, "ordered": order(raw, versions, [node.pk], priority=body.priority)} for node in nodes]
        record(
            raw, "study.send", by_actor(actor, address_of(request)), kind="study", key=body.study_instance_uid,
            study_uid=body.study_instance_uid, patient_id=study.patient.patient_id,
            after={"nodes": [node.name for node in nodes], "instances": sum(int(str(one["ordered"])) for one in sent)},
        )  # fmt: skip
    return Status(202, {"study_instance_uid": body.study_instance_uid, "instances": len(versions), "nodes": sent})
