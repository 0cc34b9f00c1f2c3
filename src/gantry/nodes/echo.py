"""C-ECHO: is the peer there, and does it know us (PS3.4 annex A)?"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dimse.errors import DimseError
from dimse.negotiation import ContextProposal
from dimse.status import Service
from dimse.uids import VERIFICATION
from gantry.nodes.explain import explain, explain_status
from gantry.nodes.items import SendTarget
from gantry.nodes.parting import parting


@dataclass(frozen=True, slots=True)
class EchoResult:
    """The answer. `seconds` from the connection's start to the answer; `explanation` and `remedy` say what failed."""

    ok: bool
    seconds: float
    dimse_status: int | None = None
    explanation: str = ""
    remedy: str = ""


def echo(target: SendTarget) -> EchoResult:
    """Connect, associate, C-ECHO, release. Never raises for what the peer or the network does."""
    began = time.monotonic()
    try:
        with parting(target, [ContextProposal(VERIFICATION)]) as association:
            status = association.echo()
            took = time.monotonic() - began
    except (DimseError, OSError) as error:
        why = explain(error, target)
        return EchoResult(False, time.monotonic() - began, None, why.cause, why.remedy)
    if status:
        why = explain_status(status, "", Service.ECHO)
        return EchoResult(False, took, status, why.cause, why.remedy)
    return EchoResult(True, took, 0)
