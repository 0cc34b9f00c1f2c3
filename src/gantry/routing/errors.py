"""What can go wrong with rules.

RoutingError
├── BadCondition   a condition cannot be understood or can never hold
├── BadRule        a field of a rule has an impossible value
├── RuleExists     the name is taken
└── RuleMissing    there is no rule of this name
"""

from __future__ import annotations


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
