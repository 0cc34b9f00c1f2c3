"""What went wrong with a node, in plain words: `dimse.explain` with the names of the node filled in."""

from __future__ import annotations

from dimse.explain import Explanation, Parties
from dimse.explain import explain as explain_error
from dimse.explain import explain_status as explain_code
from dimse.status import Service
from gantry.nodes.items import SendTarget

__all__ = ["Explanation", "explain", "explain_final", "explain_status", "parties"]


def parties(target: SendTarget) -> Parties:
    """Who was on the line."""
    return Parties(target.calling_aet, target.address.aet, target.address.host, target.address.port, retried=True)


def explain(error: BaseException, target: SendTarget) -> Explanation:
    """Cause and remedy of what an operation with the node met."""
    return explain_error(error, parties(target))


def explain_status(code: int, comment: str, service: Service = Service.STORE) -> Explanation:
    """A status that is no Success, with the Error Comment of the peer."""
    return explain_code(code, service, comment, Parties(retried=True))


def explain_final(code: int, comment: str, service: Service, target: SendTarget) -> tuple[str, str]:
    """Cause and remedy of the answer with which a node ended a query, a retrieval or a request (PS3.4 C.4, J.3)."""
    why = explain_code(code, service, comment, parties(target))
    what = "request for commitment" if service is Service.N_ACTION else str(service)
    return f"the node refused the {what}: {why.cause}", why.remedy or "the log of the node may say why"
