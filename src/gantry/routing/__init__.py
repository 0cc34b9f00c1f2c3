"""Rules: when this arrives, it goes there. Rule sets are versions that can be drafted, tried, activated, taken back.

decide(), explain()                        values and rules in, decisions out: pure
parse(), parse_expression()                the written form of conditions
route_batch(), route_study()               apply the active rules, order the deliveries, write down why
rules, versions                            add, change, remove; draft, activate, roll back
trial, replay                              what would happen: to one study, to those of the last days
"""

from gantry.routing.conditions import Condition, parse
from gantry.routing.decide import Decision, LoadedRule, decide, explain
from gantry.routing.expression import parse_expression
from gantry.routing.route import route_batch, route_study

__all__ = [
    "Condition", "Decision", "LoadedRule", "decide", "explain", "parse", "parse_expression", "route_batch", "route_study",
]  # fmt: skip
