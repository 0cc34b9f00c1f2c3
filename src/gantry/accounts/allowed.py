"""May they? One function, deny by default, every answer with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from gantry.accounts.actions import ACTIONS, BEFORE_PASSWORD_CHANGE, ROLES, SIGNED_IN


@dataclass(frozen=True, slots=True)
class Place:
    """An institute in which the actor is now, and what they may there. `groups`: each group's actions by its id."""

    institute_id: int
    institute: str
    role: str
    all_studies: bool = False
    groups: Mapping[int, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))

    def gives(self, action: str) -> str:
        """Why the action is allowed here; empty: it is not."""
        if action in ROLES.get(self.role, frozenset()):
            return f"the role {self.role} in {self.institute} includes {action}"
        if any(action in actions for actions in self.groups.values()):
            return f"a group in {self.institute} includes {action}"
        return ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a person by session, a token of theirs, or nobody.

    `role` holds everywhere; `places` are the institutes that count now (of a session the active one, of a token
    all of its user's, unless it was narrowed). `limits` narrows what roles give (the actions of a token); None
    does not narrow. `nodes`: only these. `until` is when the token that speaks ends.
    """

    user_id: int | None = None
    username: str = ""
    role: str = ""
    via: Literal["nobody", "session", "token"] = "nobody"
    token_id: int | None = None
    limits: frozenset[str] | None = None
    until: datetime | None = None
    must_change_password: bool = False
    places: tuple[Place, ...] = ()
    nodes: frozenset[str] | None = None
    institutes: frozenset[int] | None = None

    @property
    def actions(self) -> frozenset[str]:
        """All this actor may do."""
        return frozenset(action for action in ACTIONS if allowed(self, action))


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why, in words for a person. True and false as a condition."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


ANONYMOUS = Actor()


def allowed(actor: Actor, action: str, resource: object | None = None) -> Decision:
    """Whether `actor` may do `action` (with `resource`, when its owner matters). Unknown means no.

    A resource with a `user_id` belongs to that user, and actions that end in `.own` are for its owner only. Which
    studies the action is allowed on is for `visible`.
    """
    given = granted(actor, action)
    reason = _denied(actor, action, resource, bool(given))
    return Decision(False, reason) if reason else Decision(True, given)


def granted(actor: Actor, action: str) -> str:
    """Which role or group gives the action, token and duties aside; empty: none."""
    if action in ROLES.get(actor.role, frozenset()):
        return f"the role {actor.role} includes {action}"
    if actor.user_id is not None and action in SIGNED_IN:
        return f"everybody who is signed in may {action}"
    return next((why for place in actor.places if (why := place.gives(action))), "")


#: They name or reach any node: not for a token that is restricted to some.
OF_ALL_NODES = frozenset(
    {"rules.view", "rules.edit", "rules.activate", "rules.release", "webhooks.edit", "setup.edit", "setup.view"}
)


def _denied(actor: Actor, action: str, resource: object | None, given: bool) -> str:
    """Why not; empty: nothing speaks against it."""
    foreign = resource is not None and action.endswith(".own") and getattr(resource, "user_id", None) != actor.user_id
    unsettled = actor.via == "session" and actor.must_change_password and action not in BEFORE_PASSWORD_CHANGE
    reasons = (
        (action not in ACTIONS, f"{action} is no known action"),
        (actor.user_id is None, "nobody is signed in"),
        (not given, f"{_roles(actor)} not include {action}"),
        (actor.limits is not None and action not in actor.limits, f"this token is not for {action}"),
        (actor.nodes is not None and action in OF_ALL_NODES, f"this token is for some nodes, and {action} concerns all"),
        (unsettled, "the password that was made at the start must be changed first"),
        (foreign, "it belongs to somebody else"),
    )
    return next((reason for applies, reason in reasons if applies), "")


def _roles(actor: Actor) -> str:
    there = [f"{place.role} in {place.institute}" for place in actor.places]
    if actor.role not in {"", "none"} or not there:
        there.insert(0, actor.role or "none")
    return f"the role {there[0]} does" if len(there) == 1 else f"the roles {', '.join(there)} do"


def allowed_node(actor: Actor, node: str) -> Decision:
    """Whether the token that speaks may use this node; a session may use all that its actions reach."""
    if actor.nodes is not None and node not in actor.nodes:
        return Decision(False, f"this token is not for the node {node}")
    return Decision(True, "no node is excluded" if actor.nodes is None else f"this token is for the node {node}")
