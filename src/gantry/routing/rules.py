"""Add, list, remove and switch rules."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from gantry.nodes import registry
from gantry.routing.conditions import Condition, parse
from gantry.routing.errors import BadRule, RuleExists, RuleMissing
from gantry.routing.models import Rule

TRIGGERS = ("arrived", "settled")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


def add(
    name: str,
    *,
    to: Sequence[str],
    when: Sequence[str | Condition] = (),
    on: str = "arrived",
    enabled: bool = True,
) -> Rule:
    """Make a rule: what meets all conditions `when` goes to the nodes `to`, at arrival or when the study settled.

    Raises BadRule, BadCondition, RuleExists, gantry.nodes.errors.NodeMissing.
    """
    if not _SLUG.fullmatch(name):
        raise BadRule(f"{name[:80]!r} is no rule name: use letters, digits, '-' and '_', at most 63")
    if on not in TRIGGERS:
        raise BadRule(f"{on[:40]!r} is no trigger: use {' or '.join(TRIGGERS)}")
    if not to:
        raise BadRule("a rule needs at least one destination node")
    conditions = [parse(item) if isinstance(item, str) else item for item in when]
    nodes = [registry.get(node) for node in dict.fromkeys(to)]
    now = timezone.now()
    try:
        with transaction.atomic():
            rule = Rule.objects.create(
                name=name,
                enabled=enabled,
                conditions=[condition.to_json() for condition in conditions],
                trigger=on,
                created_at=now,
                updated_at=now,
            )
            rule.destinations.set(nodes)
    except IntegrityError as error:
        raise RuleExists(f"there is a rule {name!r} already: remove it first or choose another name") from error
    return rule


def list_rules() -> list[Rule]:
    """All rules by name, with their destinations."""
    return list(Rule.objects.order_by("name").prefetch_related("destinations"))


def get(name: str) -> Rule:
    """The rule of this name. Raises RuleMissing."""
    rule = Rule.objects.filter(name=name).prefetch_related("destinations").first()
    if rule is None:
        raise RuleMissing(f"there is no rule {name[:80]!r}: `gantry rule list` shows those that are")
    return rule


def remove(name: str) -> None:
    """Take a rule away. Deliveries it has ordered stay. Raises RuleMissing."""
    get(name).delete()


def enable(name: str, *, enabled: bool = True) -> Rule:
    """Switch a rule on or off. Raises RuleMissing."""
    rule = get(name)
    Rule.objects.filter(pk=rule.pk).update(enabled=enabled, updated_at=timezone.now())
    rule.refresh_from_db()
    return rule
