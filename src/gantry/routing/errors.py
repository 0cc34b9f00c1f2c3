"""What can go wrong with rules.

RoutingError
├── BadCondition   a condition cannot be understood or can never hold
├── BadRule        a field of a rule has an impossible value
│   └── TrialFailed   what a rule should be tried on cannot be read
├── RuleExists     the name is taken
│   └── DraftExists
├── RuleMissing    there is no rule of this name
│   ├── NoDraft       no draft, or no version of this number
│   └── HeldMissing   nothing is held under this number
└── RulesMoved     somebody else changed the rules meanwhile
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


class RoutingError(Exception):
    """Something about a rule is wrong; the message says what and what to do."""


class BadCondition(RoutingError, ValueError):
    """A condition cannot be understood or can never hold."""


class BadRule(RoutingError, ValueError):
    """A field of a rule has an impossible value."""


class RuleExists(RoutingError):
    """A rule of this name is already there."""


class RuleMissing(RoutingError):
    """There is no rule of this name."""


class NoDraft(RuleMissing):
    """There is no draft, or no version of this number."""


class DraftExists(RuleExists):
    """A draft is there already."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody did to the rules: `changes` as lines, `rules` the names of those that are another by it."""

    who: str
    when: datetime
    changes: list[str]
    rules: list[str]


class RulesMoved(RoutingError):
    """Somebody else changed the rules meanwhile; `current` is what is there now, `changes` what differs, `edits` who did it."""

    def __init__(self, message: str, current: int, changes: list[str], edits: Sequence[Edit] = ()) -> None:
        super().__init__(message)
        self.current = current
        self.changes = changes
        self.edits = tuple(edits)


class HeldMissing(RuleMissing):
    """Nothing is held under this number."""


class TrialFailed(BadRule):
    """What a rule should be tried on cannot be read."""
