"""Status codes of DIMSE responses by service: category and meaning (PS3.7 annex C, PS3.4 tables B.2-1, C.4-1 to C.4-3,
Y.4-1), and the failure reasons of storage commitment (PS3.3 C.14.1.1).

The same code says different things in different services: C000 of C-STORE is "cannot understand", of C-FIND "unable
to process". What to do about each of them: `dimse.explain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
UNRECOGNISED_OPERATION = 0x0211
SOP_CLASS_NOT_SUPPORTED = 0x0122
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
NOT_AUTHORISED = 0x0124
DUPLICATE_TRANSACTION = 0x0131
DUPLICATE_INVOCATION = 0x0210
RESOURCE_LIMITATION = 0x0213
CANNOT_COUNT_MATCHES = 0xA701
CANNOT_SUB_OPERATE = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
SOME_SUB_OPERATIONS_FAILED = 0xB000
CANCELLED = 0xFE00
PENDING = 0xFF00
PENDING_WITHOUT_OPTIONAL_KEYS = 0xFF01


class Category(StrEnum):
    """Status classes of PS3.7 annex C.1."""

    SUCCESS = "success"
    WARNING = "warning"
    PENDING = "pending"
    CANCEL = "cancel"
    FAILURE = "failure"


class Service(StrEnum):
    """Whose table a code is looked up in. ANY is for codes without knowing the service."""

    ANY = "any service"
    ECHO = "C-ECHO"
    STORE = "C-STORE"
    FIND = "C-FIND"
    GET = "C-GET"
    MOVE = "C-MOVE"
    N_EVENT_REPORT = "N-EVENT-REPORT"
    N_GET = "N-GET"
    N_SET = "N-SET"
    N_ACTION = "N-ACTION"
    N_CREATE = "N-CREATE"
    N_DELETE = "N-DELETE"


@dataclass(frozen=True, slots=True)
class Status:
    """A status code with what it says."""

    code: int
    category: Category
    meaning: str

    def __str__(self) -> str:
        return f"{self.code:04X} {self.category}: {self.meaning}"


_COMPOSITE = frozenset({Service.ECHO, Service.STORE, Service.FIND, Service.GET, Service.MOVE})
_RETRIEVE = frozenset({Service.GET, Service.MOVE})
_QUERY = _RETRIEVE | {Service.FIND}
_NORMALISED = frozenset(Service) - _COMPOSITE - {Service.ANY}
_WRITES = frozenset({Service.N_SET, Service.N_CREATE})
_ALL = frozenset(Service)
_ANY = frozenset({Service.ANY})
_STORE = _ANY | {Service.STORE}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the codes `low` to `high` in some services."""

    services: frozenset[Service]
    low: int
    high: int
    category: Category
    meaning: str


def _row(services: Service | frozenset[Service], low: int, category: Category, meaning: str, high: int = 0) -> Row:
    return Row(services if isinstance(services, frozenset) else frozenset({services}), low, high or low, category, meaning)


_F, _W = Category.FAILURE, Category.WARNING
#: Every code of the standard that we may give or hear. The first row that fits counts: single codes stand before ranges,
#: a service's own before those of all.
TABLE: tuple[Row, ...] = (
    _row(_ALL, 0x0000, Category.SUCCESS, "success"),
    # PS3.7 section 9.1 and 10.1, annex C: general codes
    _row(_ALL, 0x0001, _W, "success; optional attributes were ignored"),
    _row(_ALL, 0x0105, _F, "no such attribute"),
    _row(_ALL, 0x0106, _F, "invalid attribute value"),
    _row(_ALL, 0x0107, _W, "attribute list error: some attributes were not returned or set"),
    _row(_ALL, 0x0110, _F, "processing failure"),
    _row(_ALL, 0x0111, _F, "duplicate SOP instance"),
    _row(_ALL, 0x0112, _F, "no such SOP instance"),
    _row(_ALL, 0x0113, _F, "no such event type"),
    _row(_ALL, 0x0114, _F, "no such argument"),
    _row(_ALL, 0x0115, _F, "invalid argument value"),
    _row(_ALL, 0x0116, _W, "attribute value out of range"),
    _row(_ALL, 0x0117, _F, "invalid SOP instance"),
    _row(_ALL, 0x0118, _F, "no such SOP class"),
    _row(_ALL, 0x0119, _F, "class-instance conflict"),
    _row(_ALL, 0x0120, _F, "missing attribute"),
    _row(_ALL, 0x0121, _F, "missing attribute value"),
    _row(_ALL, 0x0122, _F, "SOP class not supported"),
    _row(_ALL, 0x0123, _F, "no such action type"),
    _row(_ALL, 0x0124, _F, "not authorised"),
    _row(_ALL, 0x0131, _F, "duplicate transaction UID"),
    _row(_ALL, 0x0210, _F, "duplicate invocation"),
    _row(_ALL, 0x0211, _F, "unrecognised operation"),
    _row(_ALL, 0x0212, _F, "mistyped argument"),
    _row(_ALL, 0x0213, _F, "resource limitation"),
    # PS3.4 table B.2-1: storage
    _row(Service.STORE, 0xA700, _F, "out of resources", 0xA7FF),
    _row(Service.STORE, 0xA900, _F, "data set does not match the SOP class", 0xA9FF),
    _row(Service.STORE, 0xB000, _W, "coercion of data elements"),
    _row(_STORE, 0xB006, _W, "elements discarded"),
    _row(_STORE, 0xB007, _W, "data set does not match the SOP class"),
    _row(Service.STORE, 0xC000, _F, "cannot understand", 0xCFFF),
    # PS3.4 tables C.4-1, C.4-2, C.4-3, K.4-1: query and retrieve, worklist
    _row(_RETRIEVE | _ANY, 0xA701, _F, "out of resources: cannot count the matches"),
    _row(_RETRIEVE | _ANY, 0xA702, _F, "out of resources: cannot perform sub-operations"),
    _row(_QUERY, 0xA700, _F, "out of resources", 0xA7FF),
    _row(Service.MOVE, 0xA801, _F, "move destination unknown"),
    _row(_QUERY, 0xA900, _F, "identifier does not match the query model", 0xA9FF),
    # PS3.4 table Y.4-1 and Z.4-1: retrieve of whole instances and frames
    _row(_RETRIEVE | _ANY, 0xAA00, _F, "none of the frames were found in the instance"),
    _row(_RETRIEVE | _ANY, 0xAA01, _F, "no new object can be made for this SOP class"),
    _row(_RETRIEVE | _ANY, 0xAA02, _F, "the frames cannot be extracted"),
    _row(_RETRIEVE | _ANY, 0xAA03, _F, "times were asked for, but the instance has none"),
    _row(_RETRIEVE | _ANY, 0xAA04, _F, "invalid request for frames"),
    _row(_RETRIEVE, 0xB000, _W, "sub-operations complete, one or more failed or gave a warning"),
    _row(_QUERY, 0xC000, _F, "unable to process", 0xCFFF),
    _row(_QUERY, 0xFE00, Category.CANCEL, "cancelled"),
    _row(_QUERY, 0xFF00, Category.PENDING, "pending"),
    _row(_ANY | {Service.FIND}, 0xFF01, Category.PENDING, "pending, one or more optional keys are not supported"),
    # Codes of the services of N- requests (print, procedure step, unified worklist)
    _row(_WRITES | {Service.N_ACTION}, 0xB600, _W, "memory is short, or the request was changed", 0xB6FF),
    _row(_NORMALISED, 0xC000, _F, "the service cannot do this now", 0xCFFF),
    # Without a service, and what a peer says although its service has no such code
    _row(_ALL, 0xA700, _F, "out of resources", 0xA7FF),
    _row(_ALL, 0xA801, _F, "move destination unknown"),
    _row(_ALL, 0xA900, _F, "data set or identifier does not match the SOP class", 0xA9FF),
    _row(_ALL, 0xB000, _W, "warning of the service", 0xBFFF),
    _row(_ALL, 0xC000, _F, "cannot understand or unable to process", 0xCFFF),
    _row(_ALL, 0x0100, _F, "failure without a name of its own", 0x02FF),
    _row(_ALL, 0xA000, _F, "failure of the service", 0xAFFF),
    _row(_ALL, 0xFE00, Category.CANCEL, "cancelled"),
    _row(_ALL, 0xFF00, Category.PENDING, "pending", 0xFF01),
)

#: Failure Reason (0008,1197) of storage commitment (PS3.3 C.14.1.1).
FAILURE_REASONS: dict[int, str] = {
    0x0110: "processing failure: a general failure in processing the operation",
    0x0112: "no such object instance",
    0x0119: "class-instance conflict: the instance has another SOP class",
    0x0122: "referenced SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
_UNKNOWN = Row(_ALL, 0, 0xFFFF, _F, "unknown status")


@lru_cache(4096)
def row_of(code: int, service: Service = Service.ANY) -> Row:
    """The line of the table that says what a code means; one for unknown failures if none does (PS3.7 C.1)."""
    return next((row for row in TABLE if row.low <= code <= row.high and service in row.services), _UNKNOWN)


def category_of(code: int, service: Service = Service.ANY) -> Category:
    """The class of a code; every unknown code is a failure (PS3.7 C.1)."""
    if code == 0:
        return Category.SUCCESS
    return row_of(code & 0xFFFF, service).category


def describe(code: int, service: Service = Service.ANY) -> Status:
    """Category and meaning of a code (16 bits) in a service."""
    row = row_of(code & 0xFFFF, service)
    return Status(code, row.category, row.meaning)
