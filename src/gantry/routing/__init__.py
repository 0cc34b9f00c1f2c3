"""Stateless rules: when this arrives, it goes there.

decide()                            values and rules in, forwards out: pure
parse()                             the written form of a condition
route_batch(), route_study()        apply the rules, order the deliveries
rules                               add, list, get, enable, remove: the table of rules
"""

from gantry.routing.conditions import Condition, parse
from gantry.routing.decide import Decision, LoadedRule, decide
from gantry.routing.route import route_batch, route_study

__all__ = ["Condition", "Decision", "LoadedRule", "decide", "parse", "route_batch", "route_study"]
