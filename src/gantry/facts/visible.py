"""Which facts somebody may see: each kind asks for the action that shows what it is about."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from gantry.accounts.allowed import Actor, allowed

#: They name a node: not for a token that is restricted to some nodes, as facts are not told apart by node.
_OF_NODES = frozenset({"Delivered", "DeliveryFailed"})
#: What is not named here is for those who may see the details of the system.
_ACTIONS = MappingProxyType(
    {
        "Arrived": "studies.view",
        "Settled": "studies.view",
        "StudyEnded": "studies.view",
        "StudyDeleted": "studies.view",
        "Delivered": "deliveries.view",
        "DeliveryFailed": "deliveries.view",
        "RulesChanged": "rules.view",
        "RuleFailed": "rules.view",
        "AlertChanged": "alerts.view",
    }
)


def known_kinds() -> frozenset[str]:
    """Every kind of fact there is."""
    from gantry.facts import kinds

    return frozenset(
        name for name, value in vars(kinds).items()
        if isinstance(value, type) and value.__module__ == kinds.__name__ and name != "Fact"
    )  # fmt: skip


def visible_kinds(actor: Actor, wanted: Collection[str] = ()) -> list[str]:
    """The kinds this actor may see, of those that are wanted (none: all)."""
    return sorted(
        kind for kind in known_kinds()
        if (not wanted or kind in wanted) and allowed(actor, _ACTIONS.get(kind, "system.view"))
        and not (actor.nodes is not None and kind in _OF_NODES)
    )  # fmt: skip
