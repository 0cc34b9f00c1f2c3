"""The facts of the DICOM conformance statement (PS3.2), asked of the code that runs: what a proposal is answered, which
keys are matched, what a setting says. Nothing here is written down twice; `conformance_page` makes text of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import gantry
from dimse.acceptance import Accept, Limits, build_accept
from dimse.items import AsyncWindow, ExtendedNegotiation, ProposedContext, RoleSelection, UserInformation
from dimse.negotiation import ACCEPTED, service_of
from dimse.pdu import AssociateAccept, AssociateRequest
from dimse.status import describe
from dimse.tls import Profile
from dimse.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, all_of, name_of
from gantry.config import Config
from gantry.dataset.charset import character_set
from gantry.main import conformance_answers as answers
from gantry.main.conformance_answers import Facts
from gantry.receiver.listen import OFFERED

#: One association proposes at most so many contexts (PS3.8 9.3.2.2).
_CONTEXTS = 128
#: Defined terms of PS3.3 C.12.1.1.2 that are tried.
_TERMS = (
    "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127", "ISO_IR 126", "ISO_IR 138",
    "ISO_IR 148", "ISO_IR 203", "ISO_IR 13", "ISO_IR 166", "ISO_IR 192", "GB18030", "GBK", "ISO 2022 IR 6", "ISO 2022 IR 100",
    "ISO 2022 IR 101", "ISO 2022 IR 109", "ISO 2022 IR 110", "ISO 2022 IR 144", "ISO 2022 IR 127", "ISO 2022 IR 126",
    "ISO 2022 IR 138", "ISO 2022 IR 148", "ISO 2022 IR 203", "ISO 2022 IR 13", "ISO 2022 IR 166", "ISO 2022 IR 87",
    "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58",
)  # fmt: skip


def statement(config: Config) -> Facts:
    """Everything the statement says about an instance with these settings; plain data, the same on every machine."""
    return {
        "product": {
            "name": "Gantry",
            "version": gantry.__version__,
            "implementation_class_uid": IMPLEMENTATION_CLASS_UID,
            "implementation_version_name": IMPLEMENTATION_VERSION,
        },
        "application_entities": answers.application_entities(config),
        "provider": _provider(config),
        "user": answers.user_classes(),
        "statuses": {
            service: [_status(code, service, when) for code, when in rows] for service, rows in answers.STATUSES.items()
        },
        "reject_reasons": answers.REJECTIONS,
        "query": answers.query_keys(),
        "network": _network(config),
        "character_sets": [term for term in _TERMS if not character_set(term.encode()).warnings],
        "security": _security(config),
        "callers": answers.ACTIONS,
    }


def propose(contexts: Sequence[tuple[str, Sequence[str]]], **user: Any) -> AssociateRequest:
    """An association request with (SOP class, transfer syntaxes) as its contexts."""
    proposed = tuple(ProposedContext(2 * n + 1, sop_class, tuple(syntaxes)) for n, (sop_class, syntaxes) in enumerate(contexts))
    information = UserInformation(max_length=16384, implementation_class_uid="1.2.3", implementation_version="", **user)
    return AssociateRequest("ANY", "ANY", proposed, information)


def _answer(contexts: Sequence[tuple[str, Sequence[str]]], **user: Any) -> AssociateAccept:
    return build_accept(propose(contexts, **user), Accept(), OFFERED, 131072)


def every_class() -> tuple[str, ...]:
    """All SOP classes of the registry, meta classes and retired ones too."""
    return all_of("storage") + all_of("class") + all_of("meta")


def _batches(pairs: list[tuple[str, tuple[str]]]) -> Iterable[list[tuple[str, tuple[str]]]]:
    return (pairs[at : at + _CONTEXTS] for at in range(0, len(pairs), _CONTEXTS))


def accepted_syntaxes(classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which transfer syntaxes are accepted for each class when one is proposed alone; classes without any are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    pairs: list[tuple[str, tuple[str]]] = [(sop_class, (syntax,)) for sop_class in classes for syntax in all_of("syntax")]
    for batch in _batches(pairs):
        for (sop_class, (syntax,)), context in zip(batch, _answer(batch).contexts, strict=True):
            if context.result == ACCEPTED:
                found[sop_class].append(syntax)
    return {sop_class: tuple(syntaxes) for sop_class, syntaxes in found.items()}


def _granted(sop_class: str, syntax: str) -> RoleSelection:
    roles = _answer([(sop_class, (syntax,))], roles=(RoleSelection(sop_class, True, True),)).user.roles
    return roles[0] if roles else RoleSelection(sop_class, True, False)


def _provider(config: Config) -> Facts:
    """Classes that are accepted, grouped by syntaxes and roles; and those that are refused."""
    accepted = accepted_syntaxes(every_class())
    groups: dict[tuple[str, tuple[str, ...], bool], list[str]] = defaultdict(list)
    for sop_class, syntaxes in accepted.items():
        service = service_of(sop_class)
        both = _granted(sop_class, syntaxes[0]).scp
        groups[(service.value if service else "", syntaxes, both)].append(sop_class)
    window = _answer([("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))], async_window=AsyncWindow(8, 8)).user.async_window
    extended = [
        {"uid": uid, "name": name_of(uid), "answer": list(item.information)}
        for uid in accepted
        for item in _answer([(uid, ("1.2.840.10008.1.2",))], extended=(ExtendedNegotiation(uid, b"\1\1\1\1"),)).user.extended
    ]
    return {
        "groups": [
            {
                "service": service,
                "classes": [{"uid": uid, "name": name_of(uid)} for uid in classes],
                "transfer_syntaxes": [{"uid": uid, "name": name_of(uid)} for uid in syntaxes],
                "requestor_may_be_scp": both,
            }
            for (service, syntaxes, both), classes in groups.items()
        ],
        "refused": [{"uid": uid, "name": name_of(uid)} for uid in every_class() if uid not in accepted],
        "private_storage": bool(accepted_syntaxes(["1.2.826.0.1.3680043.10.1338.1"])),
        "operations_window": [window.invoked, window.performed] if window else [1, 1],
        "extended_negotiation": extended,
        "max_associations": config.max_associations,
        "max_pdu": config.max_pdu,
    }


def _status(code: int, service: str, when: str) -> Facts:
    status = describe(code, answers.SERVICES[service])
    return {"code": f"{code:04X}", "category": status.category.value, "meaning": status.meaning, "when": when}


def _network(config: Config) -> Facts:
    limits = Limits()
    return {
        "address": config.dicom,
        "tls_address": config.dicom_tls_address,
        "association_seconds": config.association_seconds,
        "idle_seconds": config.idle_seconds,
        "send_seconds": limits.send_seconds,
        "minimum_rate": limits.minimum_rate,
        "settings": [
            {"key": key, "value": _shown(config, key), "meaning": Config.model_fields[key].description}
            for key in answers.DICOM_SETTINGS
            if key in Config.model_fields
        ],
    }


def _shown(config: Config, key: str) -> str:
    # Paths are of one machine; whether they are set is what a reader wants to know.
    value = getattr(config, key)
    return ("set" if value else "") if key.startswith("dicom_tls_") and key not in answers.TLS_OPEN else str(value)


def _security(config: Config) -> Facts:
    return {
        "profiles": [profile.value for profile in Profile],
        "default_profile": Profile.BCP195.value,
        "listener": bool(config.dicom_tls_address),
        "client_certificates": config.dicom_tls_clients,
        "unknown_callers": config.unknown_callers,
    }
