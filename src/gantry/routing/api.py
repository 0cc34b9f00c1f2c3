"""Routes: rules."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from gantry.accounts.page import PageQuery, answer, by_id
from gantry.accounts.route import may
from gantry.routing import rules
from gantry.routing.models import Rule
from gantry.routing.schemas import RuleChange, RuleIn, RuleName, RuleOut, RulePage

router = Router(tags=["rules"])


@router.get("/rules", auth=may("rules.view"), response=RulePage, summary="List rules")
def list_rules(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """All rules, oldest first."""
    found, cursor = by_id(Rule.objects.prefetch_related("destinations"), query, newest_first=False)
    return answer(request, found, cursor)


@router.post("/rules", auth=may("rules.edit"), response={201: RuleOut}, summary="Add a rule")
def add_rule(request: HttpRequest, body: RuleIn) -> Status[Rule]:
    """Make a rule. It is for what comes from now on."""
    rule = rules.add(body.name, to=body.destinations, when=body.parsed(), on=body.trigger, enabled=body.enabled)
    return Status(201, rule)


@router.get("/rules/{name}", auth=may("rules.view"), response=RuleOut, summary="Get a rule")
def get_rule(request: HttpRequest, name: Path[RuleName]) -> Rule:
    """One rule."""
    return rules.get(name)


@router.patch("/rules/{name}", auth=may("rules.edit"), response=RuleOut, summary="Switch a rule on or off")
def change_rule(request: HttpRequest, name: Path[RuleName], body: RuleChange) -> Rule:
    """Deliveries that it has ordered stay."""
    return rules.enable(name, enabled=body.enabled)


@router.delete("/rules/{name}", auth=may("rules.edit"), response={204: None}, summary="Remove a rule")
def remove_rule(request: HttpRequest, name: Path[RuleName]) -> Status[None]:
    """Deliveries that it has ordered stay."""
    rules.remove(name)
    return Status(204, None)
