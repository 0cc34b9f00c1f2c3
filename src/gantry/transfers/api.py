"""Routes: the delivery ledger and receipts."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Path, Query, Router

from gantry.accounts import connection, see
from gantry.accounts.errors import NotAllowed
from gantry.accounts.page import Uid, answer, pack, unpack
from gantry.accounts.route import actor_of, check_node, may
from gantry.accounts.sign_in import address_of
from gantry.accounts.visible import visible
from gantry.audit.record import by_actor
from gantry.catalogue.access import access
from gantry.nodes.schemas import NodeName
from gantry.transfers.attempts import LIMIT, attempts, study_of
from gantry.transfers.by_destination import by_destination
from gantry.transfers.by_study import GroupFilter, by_study
from gantry.transfers.errors import BadFilter
from gantry.transfers.find import LedgerFilter, find
from gantry.transfers.measure import outlook
from gantry.transfers.receipt import Receipt, receipt
from gantry.transfers.retry import retry
from gantry.transfers.schemas import (
    DeliveryAttemptList,
    DeliveryAttemptQuery,
    DeliveryPage,
    DeliveryQuery,
    DestinationOut,
    GroupPage,
    GroupQuery,
    OutlookList,
    OutlookOut,
    ReceiptOut,
    ReceiptQuery,
    RetryIn,
    RetryOut,
    SteerIn,
    SteerOut,
)
from gantry.transfers.steer import Act, Steered, steer

router = Router(tags=["deliveries"])


@router.get("/deliveries", auth=may("deliveries.view"), response=DeliveryPage, summary="Search the delivery ledger")
def list_deliveries(request: HttpRequest, query: Query[DeliveryQuery]) -> dict[str, Any]:
    """One row per instance and destination, in the order they were ordered."""
    wanted = LedgerFilter(
        study_uid=query.study_instance_uid or None, node=query.node or None, status=query.status or None,
        rule_name=query.rule_name or None, sop_instance_uid=query.sop_instance_uid or None,
    )  # fmt: skip
    after = unpack(query.cursor) if query.cursor else None
    seen = visible(actor_of(request), "deliveries.view")
    nodes = actor_of(request).nodes
    page = find(connection.of_request(), wanted, after=after, limit=query.limit, seen=seen, nodes=nodes)
    return answer(request, page.items, None if page.next_after is None else pack(page.next_after))


@router.get("/deliveries/by-study", auth=may("deliveries.view"), response=GroupPage, summary="Deliveries by study")
def list_deliveries_by_study(request: HttpRequest, query: Query[GroupQuery]) -> dict[str, Any]:
    """One item per study, the newest first, with one line per destination: how many of its instances are how far."""
    actor = actor_of(request)
    wanted = GroupFilter(
        study_uid=query.study_instance_uid or None, node=query.node or None, statuses=tuple(query.status),
        rule_name=query.rule_name or None,
    )  # fmt: skip
    page = by_study(
        connection.of_request(), wanted, before=unpack(query.cursor) if query.cursor else None, limit=query.limit,
        seen=visible(actor, "deliveries.view"), nodes=actor.nodes, access=access(actor, "deliveries.view"),
    )  # fmt: skip
    return answer(request, page.items, None if page.next_before is None else pack(page.next_before))


@router.get(
    "/deliveries/attempts", auth=may("deliveries.view"), response=DeliveryAttemptList, summary="See the attempts of a study"
)
def list_attempts(request: HttpRequest, query: Query[DeliveryAttemptQuery]) -> dict[str, Any]:
    """What came of each attempt of a study, or of one delivery, the newest first: when, how long, why, what to do."""
    actor = actor_of(request)
    check_node(actor, query.node or None)
    uid = query.study_instance_uid
    if query.delivery is not None:
        uid, _ = study_of(connection.of_request(), query.delivery)
    elif not uid:
        raise BadFilter("say which: study_instance_uid, or the number of a delivery")
    see.study(actor, "deliveries.view", uid)
    found = attempts(
        connection.of_request(), uid, node=query.node or None, delivery_id=query.delivery, nodes=actor.nodes,
        limit=min(query.limit, LIMIT),
    )  # fmt: skip
    return {"items": found, "next": None}


@router.post("/deliveries/retry", auth=may("deliveries.retry"), response=RetryOut, summary="Try deliveries again")
def retry_deliveries(request: HttpRequest, body: RetryIn) -> dict[str, int]:
    """Put failed and dead deliveries back to waiting, due now, of studies that you may do it with. What is confirmed stays
    confirmed."""
    actor = actor_of(request)
    _check(request, "deliveries.retry", body.study_instance_uid, body.node)
    queued = retry(
        connection.of_request(),
        study_uid=body.study_instance_uid,
        node=body.node,
        statuses=body.statuses,
        ids=body.ids,
        nodes=actor.nodes,
        seen=visible(actor, "deliveries.retry"),
        by=by_actor(actor, address_of(request)),
    )
    return {"queued": queued}


@router.get(
    "/studies/{uid}/receipt",
    auth=may("deliveries.view"),
    response=ReceiptOut,
    summary="The receipt of a study",
)
def get_receipt(request: HttpRequest, uid: Path[Uid], query: Query[ReceiptQuery]) -> Receipt:
    """What was delivered where, when, and that the bytes are the same. Of a study that was removed the proof that was kept."""
    actor = actor_of(request)
    see.study(actor, "deliveries.view", uid)
    return receipt(connection.of_request(), uid, nodes=actor.nodes, removed=query.removed)


@router.get("/destinations", auth=may("deliveries.view"), response=OutlookList, summary="See how the destinations are")
def list_destinations(request: HttpRequest) -> dict[str, Any]:
    """What waits for each, how old it is, how fast it goes, when it will be through, and the circuit breaker."""
    return {"items": outlook(connection.of_request(), nodes=actor_of(request).nodes), "next": None}


@router.get("/destinations/{name}", auth=may("deliveries.view"), response=DestinationOut, summary="See how a destination is")
def get_destination(request: HttpRequest, name: Path[NodeName]) -> dict[str, Any]:
    """One of them, with its week of bandwidth limits and what went wrong lately."""
    check_node(actor_of(request), name)
    found = by_destination(connection.of_request(), name, seen=visible(actor_of(request), "deliveries.view"))
    return {
        **OutlookOut.from_orm(found.outlook).dict(), "bandwidth": found.outlook.bandwidth,
        "failure_count": found.outlook.failure_count, "week": found.week, "time_zone": found.time_zone, "errors": found.errors,
    }  # fmt: skip


@router.post("/deliveries/hold", auth=may("deliveries.hold"), response=SteerOut, summary="Hold a study back")
def hold_study(request: HttpRequest, body: SteerIn) -> Steered:
    """Nothing more of it is sent before it is released."""
    return _steer(request, "hold", body)


@router.post("/deliveries/release", auth=may("deliveries.hold"), response=SteerOut, summary="Release a study")
def release_study(request: HttpRequest, body: SteerIn) -> Steered:
    """Let go what was held."""
    return _steer(request, "release", body)


@router.post("/deliveries/recall", auth=may("deliveries.hold"), response=SteerOut, summary="Recall a study")
def recall_study(request: HttpRequest, body: SteerIn) -> Steered:
    """Take back what was not sent yet. What a destination has confirmed stays there."""
    return _steer(request, "recall", body)


@router.post("/deliveries/resend", auth=may("deliveries.hold"), response=SteerOut, summary="Send a study again")
def resend_study(request: HttpRequest, body: SteerIn) -> Steered:
    """Everything of it that was ordered goes once more, also what was confirmed; the old proof stays."""
    return _steer(request, "resend", body)


def _steer(request: HttpRequest, act: Act, body: SteerIn) -> Steered:
    if body.node is None and actor_of(request).nodes is not None:
        raise NotAllowed("Not allowed: this token is for some nodes only.", remedy="Name the node.", details={"node": None})
    _check(request, "deliveries.hold", body.study_instance_uid, body.node)
    return steer(
        connection.of_request(), act, body.study_instance_uid, by=by_actor(actor_of(request), address_of(request)),
        reason=body.reason, node=body.node, priority=body.priority,
    )  # fmt: skip


def _check(request: HttpRequest, action: str, study_uid: str | None, node: str | None) -> None:
    actor = actor_of(request)
    check_node(actor, node)
    if study_uid is not None:
        see.study(actor, action, study_uid)
