"""May they? One function, deny by default, every answer with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gantry.accounts.actions import ACTIONS, BEFORE_PASSWORD_CHANGE, ROLES


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a person by session, a token of theirs, or nobody.

    `limits` narrows what the role gives (the actions of a token); None does not narrow. `until` is when
    the token that speaks ends.
    """

    user_id: int | None = None
    username: str = ""
    role: str = ""
    via: Literal["nobody", "session", "token"] = "nobody"
    token_id: int | None = None
    limits: frozenset[str] | None = None
    until: datetime | None = None
    must_change_password: bool = False

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

    A resource with a `user_id` belongs to that user, and actions that end in `.own` are for its owner only.
    """
    reason = _denied(actor, action, resource)
    return Decision(False, reason) if reason else Decision(True, f"the role {actor.role} includes {action}")


def _denied(actor: Actor, action: str, resource: object | None) -> str:
    """Why not; empty: nothing speaks against it."""
    role = ROLES.get(actor.role, frozenset())
    foreign = resource is not None and action.endswith(".own") and getattr(resource, "user_id", None) != actor.user_id
    unsettled = actor.via == "session" and actor.must_change_password and action not in BEFORE_PASSWORD_CHANGE
    reasons = (
        (action not in ACTIONS, f"{action} is no known action"),
        (actor.user_id is None, "nobody is signed in"),
        (action not in role, f"the role {actor.role or 'none'} does not include {action}"),
        (actor.limits is not None and action not in actor.limits, f"this token is not for {action}"),
        (unsettled, "the password that was made at the start must be changed first"),
        (foreign, "it belongs to somebody else"),
    )
    return next((reason for applies, reason in reasons if applies), "")
