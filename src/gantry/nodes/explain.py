"""What went wrong with a node, in plain words: `dimse.explain` with the names of the node filled in."""

from __future__ import annotations

from dimse.explain import Explanation, Parties
from dimse.explain import explain as explain_error
from dimse.explain import explain_status as explain_code
from dimse.status import Service
from gantry.nodes.items import SendTarget

__all__ = ["Explanation", "explain", "explain_status", "parties"]


def parties(target: SendTarget) -> Parties:
    """Who was on the line."""
    return Parties(target.calling_aet, target.address.aet, target.address.host, target.address.port, retried=True)


def explain(error: BaseException, target: SendTarget) -> Explanation:
    """Cause and remedy of what an operation with the node met."""
    return explain_error(error, parties(target))


def explain_status(code: int, comment: str, service: Service = Service.STORE) -> Explanation:
    """A status that is no Success, with the Error Comment of the peer."""
    return explain_code(code, service, comment, Parties(retried=True))
