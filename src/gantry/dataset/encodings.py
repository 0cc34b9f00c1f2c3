"""How the elements of a data set are encoded, as declared by the transfer syntax or as the bytes show.

PS3.5 chapter 7 (explicit and implicit VR) and annex A (transfer syntaxes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

Buffer = bytes | memoryview

IMPLICIT_LITTLE_ENDIAN_UID = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN_UID = "1.2.840.10008.1.2.1"
EXPLICIT_BIG_ENDIAN_UID = "1.2.840.10008.1.2.2"
DEFLATED_UID = "1.2.840.10008.1.2.1.99"

UNDEFINED_LENGTH = 0xFFFFFFFF
# PS3.5 table 7.1-2: a 16 bit length follows the VR.
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
# PS3.5 table 7.1-1: two reserved bytes and a 32 bit length follow the VR.
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_KNOWN_VRS = _SHORT_VRS | _LONG_VRS


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are laid out; `uid` is the plain transfer syntax with this layout.

    Tags and VRs are read as one number each; what number that is depends on the byte order, so the
    sets of VRs are kept as such numbers. For speed.
    """

    name: str
    uid: str
    implicit: bool
    big_endian: bool
    explicit_header: Struct  # tag, VR, 16 bit length
    implicit_header: Struct  # group, element, 32 bit length
    implicit_pair: Struct  # tag, 32 bit length
    long_length: Struct  # 32 bit length
    number: Struct  # US
    short_vrs: frozenset[int]
    long_vrs: frozenset[int]

    def tag(self, raw_tag: int) -> int:
        """Group << 16 | element of a tag that was read as one number."""
        return raw_tag if self.big_endian else (raw_tag & 0xFFFF) << 16 | raw_tag >> 16

    def vr_name(self, vr: int) -> bytes:
        """The two letters of a VR that was read as one number."""
        return vr.to_bytes(2, "big" if self.big_endian else "little")


def _encoding(name: str, uid: str, order: str, *, implicit: bool) -> Encoding:
    pair = Struct(order + "H")
    return Encoding(
        name=name,
        uid=uid,
        implicit=implicit,
        big_endian=order == ">",
        explicit_header=Struct(order + "IHH"),
        implicit_header=Struct(order + "HHI"),
        implicit_pair=Struct(order + "II"),
        long_length=Struct(order + "I"),
        number=pair,
        short_vrs=frozenset(pair.unpack(vr)[0] for vr in _SHORT_VRS),
        long_vrs=frozenset(pair.unpack(vr)[0] for vr in _LONG_VRS),
    )


EXPLICIT_LITTLE = _encoding("explicit VR little endian", EXPLICIT_LITTLE_ENDIAN_UID, "<", implicit=False)
IMPLICIT_LITTLE = _encoding("implicit VR little endian", IMPLICIT_LITTLE_ENDIAN_UID, "<", implicit=True)
EXPLICIT_BIG = _encoding("explicit VR big endian", EXPLICIT_BIG_ENDIAN_UID, ">", implicit=False)

_DECLARED = {
    IMPLICIT_LITTLE_ENDIAN_UID: IMPLICIT_LITTLE,
    EXPLICIT_BIG_ENDIAN_UID: EXPLICIT_BIG,
    "1.2.840.113619.5.2": IMPLICIT_LITTLE,  # GE private: only its pixels are big endian
}
_DEFLATED = frozenset({DEFLATED_UID, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})

_PROBED_ELEMENTS = 8
_ENOUGH_ELEMENTS = 3
_FIRST_GROUPS = frozenset(range(0x0004, 0x0042, 2))


def declared_encoding(transfer_syntax_uid: str) -> Encoding:
    """What a transfer syntax promises; all but a few are explicit VR little endian (PS3.5 A.4)."""
    return _DECLARED.get(transfer_syntax_uid, EXPLICIT_LITTLE)


def is_known_vr(vr: bytes) -> bool:
    """Whether the two letters are a VR of PS3.5 6.2."""
    return vr in _KNOWN_VRS


def is_deflated(transfer_syntax_uid: str) -> bool:
    """True when the data set is a deflate stream (PS3.5 A.5)."""
    return transfer_syntax_uid in _DEFLATED


def looks_right(data: Buffer, encoding: Encoding) -> bool:
    """Whether the first element may be what `encoding` says; cheap, for every data set."""
    if len(data) < 8:
        return True
    known = bytes(data[4:6]) in _KNOWN_VRS
    if encoding.implicit == known:
        return False
    group = encoding.number.unpack_from(data, 0)[0]
    return bool(group in _FIRST_GROUPS or (group & 0xFF) != 0)


def detect_encoding(data: Buffer, *, start: int, total: int) -> Encoding | None:
    """The encoding in which the bytes at `start` read as elements in order; None when in none.

    `total` is the length of the whole file or data set, of which `data` may be the beginning.
    """
    candidates: Sequence[Encoding] = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)
    scores = [(_plausible_elements(data, start, total, encoding), encoding) for encoding in candidates]
    score, best = max(scores, key=lambda scored: scored[0])
    return best if score >= _ENOUGH_ELEMENTS else None


def _plausible_elements(data: Buffer, start: int, total: int, encoding: Encoding) -> int:
    """How many elements in a row make sense, 0 as soon as one does not. Ending exactly counts as enough."""
    position = start
    previous = 0
    count = 0
    while count < _PROBED_ELEMENTS and position + 12 <= len(data):
        tag, value, length = _read_header(data, position, encoding)
        if tag <= previous or value == 0 or (not previous and tag >> 16 not in _FIRST_GROUPS):
            return 0
        if length == UNDEFINED_LENGTH:
            opening = bytes(data[value : value + 4])
            return _PROBED_ELEMENTS if opening in {b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"} else 0
        if value + length > total:
            return 0
        count += 1
        previous = tag
        position = value + length
    return max(count, _ENOUGH_ELEMENTS) if count and position == total else count


def _read_header(data: Buffer, position: int, encoding: Encoding) -> tuple[int, int, int]:
    """Tag, where the value begins (0: no known VR) and its length; 12 bytes must be there."""
    if encoding.implicit:
        raw_tag, length = encoding.implicit_pair.unpack_from(data, position)
        return encoding.tag(raw_tag), position + 8, length
    raw_tag, vr, length = encoding.explicit_header.unpack_from(data, position)
    tag = encoding.tag(raw_tag)
    if vr in encoding.short_vrs:
        return tag, position + 8, length
    if vr in encoding.long_vrs:
        return tag, position + 12, encoding.long_length.unpack_from(data, position + 8)[0]
    return tag, 0, 0
