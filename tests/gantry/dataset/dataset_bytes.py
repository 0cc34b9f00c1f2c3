"""Data sets made byte by byte, in each encoding, without any DICOM library."""

from __future__ import annotations

import struct
import zlib

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
UNDEFINED = 0xFFFFFFFF
LONG_FORM = {"OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OD", "OF", "OL", "OV", "SV", "UV"}

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.2"
SOP_INSTANCE = "1.2.3.4"
STUDY = "1.2.3"
SERIES = "1.2.3.1"


def element(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT, *, length: int | None = None) -> bytes:
    """One element; `length` is what its head claims, if not the truth."""
    order = ">" if syntax == BIG else "<"
    size = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT or tag >> 16 == 0xFFFE:
        return head + struct.pack(order + "I", size) + value
    if vr in LONG_FORM:
        return head + vr.encode() + struct.pack(order + "HI", 0, size) + value
    return head + vr.encode() + struct.pack(order + "H", size) + value


def text(tag: int, vr: str, value: str | bytes, syntax: str = EXPLICIT) -> bytes:
    """A text element, padded to even length."""
    raw = value.encode("ascii") if isinstance(value, str) else value
    if len(raw) % 2:
        raw += b"\0" if vr == "UI" else b" "
    return element(tag, vr, raw, syntax)


def number(tag: int, value: int, syntax: str = EXPLICIT) -> bytes:
    return element(tag, "US", struct.pack(">H" if syntax == BIG else "<H", value), syntax)


def item(content: bytes, syntax: str = EXPLICIT, *, undefined: bool = True) -> bytes:
    if undefined:
        return element(0xFFFEE000, "", content, syntax, length=UNDEFINED) + element(0xFFFEE00D, "", b"", syntax)
    return element(0xFFFEE000, "", content, syntax)


def sequence(tag: int, *items: bytes, syntax: str = EXPLICIT, undefined: bool = True, vr: str = "SQ") -> bytes:
    content = b"".join(items)
    if not undefined:
        return element(tag, vr, content, syntax)
    return element(tag, vr, content, syntax, length=UNDEFINED) + element(0xFFFEE0DD, "", b"", syntax)


def image(
    syntax: str = EXPLICIT,
    *,
    before: bytes = b"",
    between: bytes = b"",
    charset: str | bytes | None = "ISO_IR 100",
    name: str | bytes = "Doe^Jane",
    patient_id: str | bytes = "4711",
    study: str | bytes = STUDY,
    pixels: bytes = bytes(512),
) -> bytes:
    """A small image. `before` comes first, `between` before the patient's group. Not deflated."""
    parts = [
        before,
        b"" if charset is None else text(0x00080005, "CS", charset, syntax),
        text(0x00080008, "CS", "ORIGINAL\\PRIMARY", syntax),
        text(0x00080016, "UI", SOP_CLASS, syntax),
        text(0x00080018, "UI", SOP_INSTANCE, syntax),
        text(0x00080020, "DA", "20240531", syntax),
        text(0x00080050, "SH", "", syntax),
        text(0x00080060, "CS", "CT", syntax),
        between,
        text(0x00100010, "PN", name, syntax),
        text(0x00100020, "LO", patient_id, syntax),
        text(0x0020000D, "UI", study, syntax),
        text(0x0020000E, "UI", SERIES, syntax),
        text(0x00200013, "IS", "7", syntax),
        number(0x00280010, 16, syntax),
        number(0x00280011, 258, syntax),
        number(0x00280100, 16, syntax),
        element(0x7FE00010, "OW", pixels, syntax),
    ]
    return b"".join(parts)


EXPECTED: dict[str, str | list[str]] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "SOPClassUID": SOP_CLASS,
    "SOPInstanceUID": SOP_INSTANCE,
    "StudyDate": "20240531",
    "AccessionNumber": "",
    "Modality": "CT",
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "StudyInstanceUID": STUDY,
    "SeriesInstanceUID": SERIES,
    "InstanceNumber": "7",
    "Rows": "16",
    "Columns": "258",
    "BitsAllocated": "16",
}


def deflated(data: bytes, *, bits: int = -15) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    return packer.compress(data) + packer.flush()
