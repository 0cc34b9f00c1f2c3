"""What no table of the code says in one place: which status is given when, which settings matter to a peer, and what the
user side proposes. `tests/gantry/main/test_conformance.py` holds each line against the code.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from dimse.dictionary import by_keyword
from dimse.status import Service
from dimse.uids import VERIFICATION, name_of
from gantry.catalogue.attributes import LEVELS, UNIQUE, Kind, attributes
from gantry.config import Config
from gantry.intake import reasons
from gantry.nodes.commit import COMMITMENT_CLASS
from gantry.nodes.find import FIND_CLASSES
from gantry.nodes.retrieving import GET_CLASSES, MOVE_CLASSES, USUAL_SYNTAXES
from gantry.receiver.policy import ACTIONS as _ACTIONS

Facts: TypeAlias = "dict[str, Any]"
SERVICES: Final = {service.value: service for service in Service}
ACTIONS: Final = list(_ACTIONS)
#: Settings of `gantry.yaml` that change what a peer sees.
DICOM_SETTINGS: Final = (
    "aet", "dicom", "accept_any_called_aet", "unknown_callers", "receivers", "max_associations", "max_pdu", "association_seconds",
    "idle_seconds", "disk_reserve_mb", "find_limit", "transcode", "dicom_tls_address", "dicom_tls_certificate", "dicom_tls_key",
    "dicom_tls_authorities", "dicom_tls_clients",
)  # fmt: skip
#: Of the TLS settings those that are no paths.
TLS_OPEN: Final = frozenset({"dicom_tls_address", "dicom_tls_clients"})
_NOT_AUTHORISED = (0x0124, "the caller may not do this (`gantry caller`)")
_UNEXPECTED = (0x0110, "an unexpected error; it is in the log")
#: What the header of an object is refused for; it is kept all the same.
_QUARANTINED: Final = [
    (reason.dimse_status, f"{reason.text}; it is kept in quarantine")
    for reason in vars(reasons).values()
    if isinstance(reason, reasons.Reason) and reason.dimse_status <= reasons.UNREADABLE.dimse_status
]
#: (status, when we give it) by service.
STATUSES: Final[dict[str, list[tuple[int, str]]]] = {
    "C-ECHO": [(0x0000, "always, to a caller that may"), _NOT_AUTHORISED],
    "C-STORE": [
        (0x0000, "the data set is synced to disk, whatever becomes of us or of the database"),
        (0xA700, "the volume is below its reserve (`disk_reserve_mb`); send it again later"),
        *_QUARANTINED,
        (0x0110, "the volume failed"),
        _NOT_AUTHORISED,
    ],
    "C-FIND": [
        (0xFF00, "a match; all optional keys were understood"),
        (0xFF01, "a match; some optional keys are not supported and come back empty"),
        (0x0000, "no more matches"),
        (0xFE00, "cancelled by the caller"),
        (0xA700, "the index is away"),
        (0xA900, "the identifier does not fit the level and root; Offending Element says where"),
        (0xC000, "the identifier cannot be read, or the index failed"),
        _NOT_AUTHORISED,
        _UNEXPECTED,
    ],
    "C-GET": [
        (0xFF00, "under way, with counts"),
        (0x0000, "all instances were sent and taken"),
        (0xB000, "some instances were not taken; their UIDs are in Failed SOP Instance UID List"),
        (0xFE00, "cancelled by the caller"),
        (0xA700, "the index is away"),
        (0xA702, "no instance could be sent"),
        (0xA900, "the identifier cannot be read, or does not fit the level and root"),
        _NOT_AUTHORISED,
        _UNEXPECTED,
    ],
    "C-MOVE": [
        (0xFF00, "under way, with counts"),
        (0x0000, "the destination has confirmed all instances"),
        (0xB000, "the destination did not take some; their UIDs are in Failed SOP Instance UID List"),
        (0xFE00, "cancelled by the caller"),
        (0xA700, "the index is away"),
        (0xA702, "the destination took no instance, or is switched off"),
        (0xA801, "the destination is no node of ours (`gantry node add`)"),
        (0xA900, "the identifier cannot be read, or does not fit the level and root"),
        _NOT_AUTHORISED,
        _UNEXPECTED,
    ],
    "N-ACTION": [
        (0x0000, "the request is taken; the result comes as N-EVENT-REPORT"),
        (0x0110, "the index is away, or an unexpected error"),
        (0x0112, "not the well-known instance"),
        (0x0115, "the data set cannot be read, or names no transaction or no instances"),
        (0x0118, "another SOP class"),
        (0x0123, "another action type than 1"),
        _NOT_AUTHORISED,
    ],
}
#: Result, source, reason of A-ASSOCIATE-RJ (PS3.8 table 9-21), and when.
REJECTIONS: Final = [
    {"code": "1/1/3", "meaning": "calling AE title not recognised",
     "when": "the caller is unknown, at another address or without its certificate"},
    {"code": "1/1/7", "meaning": "called AE title not recognised",
     "when": "another title than ours was called and `accept_any_called_aet` is off"},
    {"code": "1/1/2", "meaning": "application context name not supported", "when": "it is not DICOM's"},
    {"code": "1/2/2", "meaning": "protocol version not supported", "when": "bit 0 is not set"},
    {"code": "2/3/2", "meaning": "local limit exceeded", "when": "`max_associations` are open in this process"},
]  # fmt: skip


def application_entities(config: Config) -> list[Facts]:
    """The application entities: one title, three activities."""
    return [
        {"name": "Receiver", "title": config.aet, "side": "provider",
         "does": "answers C-ECHO, takes instances (C-STORE), answers queries and retrievals from its index (C-FIND, C-GET, "
                 "C-MOVE), commits to what it holds (storage commitment)"},
        {"name": "Sender", "title": f"{config.aet}, or the one of the node", "side": "user",
         "does": "sends instances (C-STORE) by rule, by order and as sub-operations of C-MOVE; asks for a sign of life (C-ECHO)"},
        {"name": "Asker", "title": f"{config.aet}, or the one of the node", "side": "user",
         "does": "asks a node (C-FIND), fetches from it (C-GET, or C-MOVE into the Receiver), asks it to commit (storage "
                 "commitment)"},
    ]  # fmt: skip


def user_classes() -> list[Facts]:
    """SOP classes we propose as user."""
    plain = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]

    def row(uid: str, syntaxes: list[str], entity: str, role: str = "SCU") -> Facts:
        named = [{"uid": syntax, "name": name_of(syntax)} for syntax in syntaxes]
        return {"uid": uid, "name": name_of(uid), "transfer_syntaxes": named, "role": role, "entity": entity}

    rows = [row(VERIFICATION, ["1.2.840.10008.1.2"], "Sender")]
    rows += [row(uid, plain, "Asker") for table in (FIND_CLASSES, GET_CLASSES, MOVE_CLASSES) for uid in table.values()]
    rows.append(row(COMMITMENT_CLASS, plain, "Asker"))
    rows.append(
        {"uid": "", "name": "every SOP class that is to be sent", "transfer_syntaxes": [], "role": "SCU", "entity": "Sender"}
    )
    for_get = row("", list(USUAL_SYNTAXES), "Asker", "SCP (role selection, for C-GET)")
    rows.append({**for_get, "name": "storage SOP classes that a query found, else the usual ones"})
    return rows


#: What PS3.4 C.2.2.2 calls the matching of each kind of attribute in the index.
_MATCHING: Final = {
    Kind.UID: "single value, list of UID",
    Kind.TEXT: "single value, wildcard, several values",
    Kind.NAME: "single value, wildcard; case and accents do not count; each component group",
    Kind.DATE: "single value, range",
    Kind.TIME: "single value, range",
    Kind.NUMBER: "single value",
    Kind.LIST: "single value, wildcard: one of the values matches",
    Kind.HEADER: "single value, wildcard",
    Kind.HEADER_DATE: "single value, range",
    Kind.CONSTANT: "given back only",
}


def query_keys() -> list[Facts]:
    """What can be asked at each level: the attributes of the level itself; those of upper levels can be asked too."""
    words = by_keyword()
    # What the dictionary of the wire does not know cannot be asked for over DIMSE.
    known = [row for row in attributes().values() if row.keyword in words]
    return [
        {
            "level": level,
            "root": "patient root" if level == "PATIENT" else "patient root and study root",
            "unique": UNIQUE[level],
            "keys": [
                {"keyword": row.keyword, "tag": f"({words[row.keyword].tag >> 16:04X},{words[row.keyword].tag & 0xFFFF:04X})",
                 "vr": words[row.keyword].vr, "matching": _MATCHING[row.kind]}
                for row in known if row.level == level
            ],
        }
        for level in LEVELS
    ]  # fmt: skip
