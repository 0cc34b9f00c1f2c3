"""UIDs the engine and its users need by name, and the names of the registry (PS3.6 annex A)."""

from __future__ import annotations

from functools import cache

from dimse.uid_table import ROOT, TABLE

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

#: Who we are on the wire (PS3.7 D.3.3.2): a UID made from a UUID, so it belongs to nobody else.
IMPLEMENTATION_CLASS_UID = "2.25.191046589916592737783402042305957209461"
IMPLEMENTATION_VERSION = "GANTRY_DIMSE_01"

_LIMIT = 64


@cache
def _registry() -> dict[str, tuple[str, str]]:
    rows = (line.split("|", 2) for line in TABLE.splitlines())
    return {ROOT + tail: (kind, name) for tail, kind, name in rows}


def name_of(uid: str) -> str:
    """The name in the registry, or the UID itself."""
    found = _registry().get(uid)
    return found[1] if found else uid


def kind_of(uid: str) -> str:
    """storage, class, meta, syntax, context, instance or service; empty when the registry does not know
    it."""
    found = _registry().get(uid)
    return found[0] if found else ""


def all_of(kind: str) -> tuple[str, ...]:
    """Every UID of a kind, in the order of the registry."""
    return tuple(uid for uid, (its_kind, _) in _registry().items() if its_kind == kind)


def is_uid(text: str) -> bool:
    """True for 1 to 64 characters of digits in parts divided by dots (PS3.5 section 9.1; leading zeros
    pass)."""
    return 0 < len(text) <= _LIMIT and text.isascii() and all(part.isdigit() for part in text.split(".")) and "." in text
