"""Presentation contexts: what is proposed, what is accepted, and what both sides agreed on (PS3.8 7.1.1,
annex B).

The acceptor's default is "accepted as proposed, best match stated": any storage SOP class, also private and
unknown ones, in any transfer syntax. Of several syntaxes in one context the first of the preference list
wins, without a list the first that was proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, runtime_checkable

from dimse.errors import LocalProtocolError, RemoteProtocolError
from dimse.items import MAX_CONTEXTS, ContextAnswer, ExtendedNegotiation, ProposedContext, RoleSelection
from dimse.pdu import APPLICATION_CONTEXT, AssociateAccept, AssociateReject, AssociateRequest
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION, is_uid, kind_of

ACCEPTED, USER_REFUSED, NO_REASON, ABSTRACT_UNKNOWN, TRANSFER_UNKNOWN = range(5)

PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE, PATIENT_ROOT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{n}" for n in (1, 2, 3))
STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
#: The one instance that requests of storage commitment are about (PS3.4 J.3.5).
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
_STORAGE_SERVICE = "1.2.840.10008.4.2"
#: Syntaxes of identifiers: nothing compressed or big-endian is spoken there.
_IDENTIFIER_SYNTAXES = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN})


class Service(StrEnum):
    """What a SOP class is for, as far as it is offered here."""

    VERIFICATION = "verification"
    STORAGE = "storage"
    FIND = "find"
    GET = "get"
    MOVE = "move"
    WORKLIST = "worklist"
    COMMITMENT = "commitment"


_SERVICES = {
    VERIFICATION: Service.VERIFICATION,
    PATIENT_ROOT_FIND: Service.FIND,
    PATIENT_ROOT_MOVE: Service.MOVE,
    PATIENT_ROOT_GET: Service.GET,
    STUDY_ROOT_FIND: Service.FIND,
    STUDY_ROOT_MOVE: Service.MOVE,
    STUDY_ROOT_GET: Service.GET,
    WORKLIST_FIND: Service.WORKLIST,
    STORAGE_COMMITMENT: Service.COMMITMENT,
}


def service_of(sop_class_uid: str) -> Service | None:
    """The service of a SOP class; storage for unknown ones (private images), None for what is known but not
    offered."""
    found = _SERVICES.get(sop_class_uid)
    if found is None and kind_of(sop_class_uid) in {"storage", ""}:
        return Service.STORAGE
    return found


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


@runtime_checkable
class Negotiator(Protocol):
    """A policy that also answers role selection and extended negotiation."""

    def roles(self, request: AssociateRequest) -> tuple[RoleSelection, ...]:
        """Granted roles (PS3.7 D.3.3.4), at most what was asked for."""
        ...

    def extended(self, request: AssociateRequest) -> tuple[ExtendedNegotiation, ...]:
        """Answers to SOP class extended negotiation (PS3.7 D.3.3.5)."""
        ...


@dataclass(frozen=True, slots=True)
class AcceptServices:
    """Verification and the services named here; anything else is refused (result 3).

    `retrieve` offers C-GET and C-MOVE. `relational` agrees to relational queries (PS3.4 C.5.1.1.1), `combined` to matching
    date and time of a query as one moment (`FindRequest.combined`): only for a provider that does. `also` are further
    SOP classes that are offered with identifiers, for example modality performed procedure step.
    Storage syntaxes: `preference` and `only` as in `AcceptAsProposed`. Roles: with `retrieve` the requestor may
    be provider of storage classes (C-GET), with `commitment` of storage commitment (reports, PS3.4 J.3.3).
    """

    find: bool = False
    retrieve: bool = False
    commitment: bool = False
    worklist: bool = False
    storage: bool = True
    relational: bool = False
    preference: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    combined: bool = False

    def offers(self, sop_class_uid: str) -> bool:
        """True when the service of a SOP class is offered."""
        if sop_class_uid in self.also:
            return True
        service = service_of(sop_class_uid)
        offered = {
            Service.VERIFICATION: True,
            Service.STORAGE: self.storage or self.retrieve,
            Service.FIND: self.find,
            Service.GET: self.retrieve,
            Service.MOVE: self.retrieve,
            Service.WORKLIST: self.worklist,
            Service.COMMITMENT: self.commitment,
        }
        return service is not None and offered[service]

    def answer(self, context: ProposedContext) -> ContextAnswer:
        """Accept what is offered; identifiers in the first little-endian syntax that was proposed."""
        abstract = context.abstract_syntax
        if not self.offers(abstract):
            return ContextAnswer(context.context_id, ABSTRACT_UNKNOWN, context.transfer_syntaxes[0])
        if abstract not in self.also and service_of(abstract) in {Service.VERIFICATION, Service.STORAGE}:
            return AcceptAsProposed(self.preference, only=self.only).answer(context)
        for syntax in context.transfer_syntaxes:
            if syntax in _IDENTIFIER_SYNTAXES:
                return ContextAnswer(context.context_id, ACCEPTED, syntax)
        return ContextAnswer(context.context_id, TRANSFER_UNKNOWN, context.transfer_syntaxes[0])

    def useless(self, request: AssociateRequest, sop_class_uid: str) -> bool:
        """True for a storage class that this requestor could neither store here nor fetch from here."""
        if self.storage or sop_class_uid in self.also or service_of(sop_class_uid) is not Service.STORAGE:
            return False
        return not any(role.scp and role.sop_class_uid == sop_class_uid for role in request.user.roles)

    def roles(self, request: AssociateRequest) -> tuple[RoleSelection, ...]:
        """Of the roles asked for, those that fit the services."""
        granted = []
        for asked in request.user.roles:
            service = service_of(asked.sop_class_uid)
            reverse = (service is Service.STORAGE and self.retrieve) or (service is Service.COMMITMENT and self.commitment)
            forward = self.storage if service is Service.STORAGE else self.offers(asked.sop_class_uid)
            granted.append(RoleSelection(asked.sop_class_uid, asked.scu and forward, asked.scp and reverse))
        return tuple(granted)

    def extended(self, request: AssociateRequest) -> tuple[ExtendedNegotiation, ...]:
        """Query and retrieve: relational and, for queries, date and time combined; other options are not supported."""
        answers = []
        for item in request.user.extended:
            service = service_of(item.sop_class_uid)
            asked = item.information[:16]
            if asked and service in {Service.FIND, Service.GET, Service.MOVE} and self.offers(item.sop_class_uid):
                able = (self.relational, self.combined and service is Service.FIND)
                granted = bytes(can and wish == 1 for can, wish in zip(able, asked, strict=False))
                answers.append(ExtendedNegotiation(item.sop_class_uid, granted.ljust(len(asked), b"\0")))
        return tuple(answers)


def policy_for(acceptor: object) -> ContextPolicy:
    """Every service that an acceptor has methods for: `find`, `get` or `move`, `normalised`."""
    return AcceptServices(
        find=hasattr(acceptor, "find"),
        retrieve=hasattr(acceptor, "get") or hasattr(acceptor, "move"),
        commitment=hasattr(acceptor, "normalised"),
    )


def answer_all(request: AssociateRequest, policy: ContextPolicy) -> tuple[ContextAnswer, ...]:
    """The policy's answer to every proposed context, in order.

    A SOP class that the registry does not know is judged by the class or service that common extended
    negotiation names for it (PS3.7 D.3.3.6).
    """
    known = {
        item.sop_class_uid: _stand_in(item.service_class_uid, item.related_general_uids)
        for item in request.user.common_extended
        if kind_of(item.sop_class_uid) == ""
    }
    fetched = {role.sop_class_uid for role in request.user.roles if role.scp}
    answers = []
    for proposed in request.contexts:
        context = _for_fetching(proposed) if proposed.abstract_syntax in fetched else proposed
        stand_in = known.get(context.abstract_syntax, "")
        judged = replace(context, abstract_syntax=stand_in) if stand_in and is_uid(context.abstract_syntax) else context
        answer = policy.answer(judged)
        if isinstance(policy, AcceptServices) and policy.useless(request, context.abstract_syntax):
            answer = replace(answer, result=ABSTRACT_UNKNOWN)
        answers.append(answer)
    return tuple(answers)


def _for_fetching(context: ProposedContext) -> ProposedContext:
    """What a requestor wants to get (C-GET) is best had as most archives hold it: explicit VR before implicit."""
    ranked = sorted(context.transfer_syntaxes, key=lambda uid: uid == IMPLICIT_VR_LITTLE_ENDIAN)
    return replace(context, transfer_syntaxes=tuple(ranked))


def _stand_in(service_class_uid: str, related: Sequence[str]) -> str:
    """A known SOP class to judge an unknown one by; empty when nothing is known. A service other than storage
    stands for itself: as no SOP class, it is refused."""
    general = next((uid for uid in related if kind_of(uid) in {"storage", "class", "meta"}), "")
    if general or service_class_uid == _STORAGE_SERVICE or not kind_of(service_class_uid):
        return general
    return service_class_uid


def relational_classes(request: AssociateRequest, accept: AssociateAccept) -> frozenset[str]:
    """SOP classes for which both sides agreed on relational queries or retrievals (PS3.4 C.5.1.1.1)."""
    return _agreed(request, accept, 0)


def combined_classes(request: AssociateRequest, accept: AssociateAccept) -> frozenset[str]:
    """SOP classes for which both sides agreed on date and time as one moment (PS3.4 C.5.1.1.1, C.2.2.2.5)."""
    return _agreed(request, accept, 1)


def _agreed(request: AssociateRequest, accept: AssociateAccept, option: int) -> frozenset[str]:
    sides = (
        {item.sop_class_uid for item in side.user.extended if item.information[option : option + 1] == b"\x01"}
        for side in (request, accept)
    )
    return frozenset(set.intersection(*sides))


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
