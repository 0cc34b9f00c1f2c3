"""Routes: the delivery ledger and receipts."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Path, Query, Router

from gantry.accounts import connection
from gantry.accounts.page import Uid, answer, pack, unpack
from gantry.accounts.route import may
from gantry.transfers.find import LedgerFilter, find
from gantry.transfers.receipt import Receipt, receipt
from gantry.transfers.retry import retry
from gantry.transfers.schemas import DeliveryPage, DeliveryQuery, ReceiptOut, RetryIn, RetryOut

router = Router(tags=["deliveries"])


@router.get("/deliveries", auth=may("deliveries.view"), response=DeliveryPage, summary="Search the delivery ledger")
def list_deliveries(request: HttpRequest, query: Query[DeliveryQuery]) -> dict[str, Any]:
    """One row per instance and destination, in the order they were ordered."""
    wanted = LedgerFilter(
        study_uid=query.study_instance_uid or None, node=query.node or None, status=query.status or None,
        rule_name=query.rule_name or None, sop_instance_uid=query.sop_instance_uid or None,
    )  # fmt: skip
    after = unpack(query.cursor) if query.cursor else None
    page = find(connection.of_request(), wanted, after=after, limit=query.limit)
    return answer(request, page.items, None if page.next_after is None else pack(page.next_after))


@router.post("/deliveries/retry", auth=may("deliveries.retry"), response=RetryOut, summary="Try deliveries again")
def retry_deliveries(request: HttpRequest, body: RetryIn) -> dict[str, int]:
    """Put failed and dead deliveries back to waiting, due now. What is confirmed stays confirmed."""
    queued = retry(
        connection.of_request(),
        study_uid=body.study_instance_uid,
        node=body.node,
        statuses=body.statuses,
        ids=body.ids,
    )
    return {"queued": queued}


@router.get(
    "/studies/{uid}/receipt",
    auth=may("deliveries.view"),
    response=ReceiptOut,
    summary="The receipt of a study",
)
def get_receipt(request: HttpRequest, uid: Path[Uid]) -> Receipt:
    """What was delivered where, when, and that the bytes are the same."""
    return receipt(connection.of_request(), uid)
