"""Status codes of DIMSE responses: category and meaning (PS3.7 annex C, PS3.4 table B.2-1 and others)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
UNRECOGNISED_OPERATION = 0x0211
SOP_CLASS_NOT_SUPPORTED = 0x0122
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


class Category(StrEnum):
    """Status classes of PS3.7 annex C.1."""

    SUCCESS = "success"
    WARNING = "warning"
    PENDING = "pending"
    CANCEL = "cancel"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Status:
    """A status code with what it says."""

    code: int
    category: Category
    meaning: str

    def __str__(self) -> str:
        return f"{self.code:04X} {self.category}: {self.meaning}"


_MEANINGS = {
    0x0000: "success",
    0x0001: "success; optional attributes were ignored",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0113: "no such event type",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0123: "no such action type",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xA700: "out of resources",
    0xA701: "out of resources: cannot count the matches",
    0xA702: "out of resources: cannot perform sub-operations",
    0xA801: "move destination unknown",
    0xA900: "data set does not match the SOP class (C-STORE) or the identifier the query model",
    0xB000: "coercion of data elements, or sub-operations with failures or warnings",
    0xB006: "elements discarded",
    0xB007: "data set does not match the SOP class",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending, one or more optional keys are not supported",
}
_GENERAL_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})
_RANGES = (
    (0xA700, 0xA7FF, "out of resources"),
    (0xA900, 0xA9FF, "data set does not match the SOP class"),
    (0xB000, 0xBFFF, "warning of the service"),
    (0xC000, 0xCFFF, "cannot understand or unable to process"),
)


def category_of(code: int) -> Category:
    """The class of a code; every unknown code is a failure (PS3.7 C.1)."""
    if code == 0:
        return Category.SUCCESS
    if code in {0xFF00, 0xFF01}:
        return Category.PENDING
    if code == 0xFE00:
        return Category.CANCEL
    if code in _GENERAL_WARNINGS or 0xB000 <= code <= 0xBFFF:
        return Category.WARNING
    return Category.FAILURE


def describe(code: int) -> Status:
    """Category and meaning of a code. Codes are 16 bits."""
    meaning = _MEANINGS.get(code)
    if meaning is None:
        meaning = next((text for low, high, text in _RANGES if low <= code <= high), "unknown status")
    return Status(code, category_of(code), meaning)
