"""Presentation contexts: what is proposed, what is accepted, and what both sides agreed on (PS3.8 7.1.1,
annex B).

The acceptor's default is "accepted as proposed, best match stated": any storage SOP class, also private and
unknown ones, in any transfer syntax. Of several syntaxes in one context the first of the preference list
wins, without a list the first that was proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dimse.errors import LocalProtocolError, RemoteProtocolError
from dimse.items import MAX_CONTEXTS, ContextAnswer, ProposedContext, RoleSelection
from dimse.pdu import APPLICATION_CONTEXT, AssociateAccept, AssociateReject, AssociateRequest
from dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION, is_uid, kind_of

ACCEPTED, USER_REFUSED, NO_REASON, ABSTRACT_UNKNOWN, TRANSFER_UNKNOWN = range(5)


@dataclass(frozen=True, slots=True)
class ContextProposal:
    """What a requestor wants to speak: one SOP class in one of some transfer syntaxes (the first is
    preferred).

    One syntax per proposal lets the requestor know that it will be taken as it is. `scu` and `scp` are the
    roles asked for; the standard's default is scu only, anything else becomes a role selection item.
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (IMPLICIT_VR_LITTLE_ENDIAN,)
    scu: bool = True
    scp: bool = False


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context both sides agreed on; the roles are those of the requestor."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    requestor_is_scu: bool = True
    requestor_is_scp: bool = False


class ContextPolicy(Protocol):
    """Decides about one proposed context."""

    def answer(self, context: ProposedContext) -> ContextAnswer:
        """Accept with one of the proposed syntaxes, or refuse."""
        ...


class AcceptAsProposed:
    """Verification and everything that can be stored; known classes of other services are refused (result 3).

    `preference` are transfer syntaxes, best first; `only` limits the transfer syntaxes, empty = any.
    """

    def __init__(self, preference: Sequence[str] = (), *, only: Iterable[str] = ()) -> None:
        self._rank = {uid: number for number, uid in enumerate(preference)}
        self._only = frozenset(only)

    def answer(self, context: ProposedContext) -> ContextAnswer:
        """Accept with the best syntax."""
        abstract = context.abstract_syntax
        if abstract != VERIFICATION and kind_of(abstract) not in {"storage", ""}:
            return ContextAnswer(context.context_id, ABSTRACT_UNKNOWN, context.transfer_syntaxes[0])
        if not is_uid(abstract):
            return ContextAnswer(context.context_id, ABSTRACT_UNKNOWN, context.transfer_syntaxes[0])
        usable = [uid for uid in context.transfer_syntaxes if self._usable(uid)]
        if not usable:
            return ContextAnswer(context.context_id, TRANSFER_UNKNOWN, context.transfer_syntaxes[0])
        worst = len(self._rank)
        best = min(usable, key=lambda uid: self._rank.get(uid, worst))
        return ContextAnswer(context.context_id, ACCEPTED, best)

    def _usable(self, uid: str) -> bool:
        return is_uid(uid) and (not self._only or uid in self._only)


def answer_all(request: AssociateRequest, policy: ContextPolicy) -> tuple[ContextAnswer, ...]:
    """The policy's answer to every proposed context, in order."""
    return tuple(policy.answer(context) for context in request.contexts)


def judge(request: AssociateRequest) -> AssociateReject | None:
    """What the protocol itself rejects (PS3.8 table 9-21): foreign application context or protocol
    version."""
    if not request.protocol_version & 1:
        return AssociateReject(1, 2, 2)
    if request.application_context != APPLICATION_CONTEXT:
        return AssociateReject(1, 1, 2)
    return None


def propose(proposals: Sequence[ContextProposal]) -> tuple[ProposedContext, ...]:
    """Give the proposals their odd ids. `LocalProtocolError` when there are none or more than 128."""
    if not 1 <= len(proposals) <= MAX_CONTEXTS:
        raise LocalProtocolError(f"an association has 1 to {MAX_CONTEXTS} presentation contexts, not {len(proposals)}")
    return tuple(
        ProposedContext(2 * number + 1, proposal.abstract_syntax, proposal.transfer_syntaxes)
        for number, proposal in enumerate(proposals)
    )


def role_items(proposals: Sequence[ContextProposal]) -> tuple[RoleSelection, ...]:
    """Role selection items for the proposals that ask for other than the default roles."""
    wanted = {
        p.abstract_syntax: RoleSelection(p.abstract_syntax, p.scu, p.scp) for p in proposals if (p.scu, p.scp) != (True, False)
    }
    return tuple(wanted.values())


def agreed(request: AssociateRequest, accept: AssociateAccept) -> dict[int, AcceptedContext]:
    """The accepted contexts by id. `RemoteProtocolError` when an answer fits no proposal."""
    proposed = {context.context_id: context for context in request.contexts}
    asked = {role.sop_class_uid: role for role in request.user.roles}
    granted = {role.sop_class_uid: role for role in accept.user.roles}
    found: dict[int, AcceptedContext] = {}
    for answer in accept.contexts:
        context = proposed.get(answer.context_id)
        if context is None:
            raise RemoteProtocolError(f"answer to context {answer.context_id}, which was not proposed")
        if answer.context_id in found:
            raise RemoteProtocolError(f"context {answer.context_id} is answered twice")
        if answer.result != ACCEPTED:
            continue
        if answer.transfer_syntax not in context.transfer_syntaxes:
            raise RemoteProtocolError(f"context {answer.context_id} accepted in a syntax not proposed")
        want, grant = asked.get(context.abstract_syntax), granted.get(context.abstract_syntax)
        scu, scp = True, False
        if want is not None and grant is not None:
            scu, scp = want.scu and grant.scu, want.scp and grant.scp
        found[answer.context_id] = AcceptedContext(answer.context_id, context.abstract_syntax, answer.transfer_syntax, scu, scp)
    return found
