"""What the values of small data sets are made of: byte orders, numbers, text without code extensions (PS3.5 6, 7).

`dimse.identifier` puts them together.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from dimse.errors import DimseError
from dimse.operations import MAX_IDENTIFIER
from dimse.uids import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

#: Representations that are numbers, and how they are packed.
NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}


class IdentifierError(DimseError):
    """The bytes are no data set, or a value cannot be written. `tag` is that of the element, 0 when there is none."""

    def __init__(self, text: str, tag: int = 0) -> None:
        super().__init__(f"{text} ({tag >> 16:04X},{tag & 0xFFFF:04X})" if tag else text)
        self.tag = tag


class Encoding:
    """Byte order and whether value representations are written."""

    __slots__ = ("implicit", "implicit_head", "long", "long_head", "order", "pair", "short", "short_head")

    def __init__(self, order: str, implicit: bool) -> None:
        self.order = order
        self.implicit = implicit
        self.pair = struct.Struct(f"{order}HH")
        self.short = struct.Struct(f"{order}H")
        self.long = struct.Struct(f"{order}I")
        self.implicit_head = struct.Struct(f"{order}HHI")
        self.short_head = struct.Struct(f"{order}HH2sH")
        self.long_head = struct.Struct(f"{order}HH2sHI")


IMPLICIT = Encoding("<", True)
EXPLICIT = Encoding("<", False)
BIG = Encoding(">", False)


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """How the elements of a transfer syntax are written; a deflated one once it is inflated."""
    if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN:
        return IMPLICIT
    # All others that the standard has are explicit VR little endian (PS3.5 section 10).
    return BIG if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else EXPLICIT


# Character sets of the standard that Python's codecs can do without escape sequences (PS3.3 C.12.1.1.2).
_SINGLE_BYTE = {"": "ascii", "6": "ascii", "100": "iso8859-1", "101": "iso8859-2", "109": "iso8859-3", "110": "iso8859-4",
                "144": "iso8859-5", "127": "iso8859-6", "126": "iso8859-7", "138": "iso8859-8", "148": "iso8859-9",
                "203": "iso8859-15", "166": "tis-620", "13": "shift_jis"}  # fmt: skip
_SEVERAL_BYTES = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}


def _codec(charset: bytes) -> tuple[str, bool]:
    """The codec of the first value, and whether each of its characters is one byte."""
    term = charset.split(b"\\", 1)[0].decode("ascii", "replace").strip(" \0")
    if term in _SEVERAL_BYTES:
        return _SEVERAL_BYTES[term], False
    return _SINGLE_BYTE.get(term.removeprefix("ISO_IR ").removeprefix("ISO 2022 IR "), "ascii"), True


def decode_plain(raw: bytes, charset: bytes, person_name: bool = False) -> str:
    """Text without code extensions; what is no character becomes U+FFFD."""
    return raw.decode(_codec(charset)[0], "replace")


def encode_plain(text: str, charset: bytes, person_name: bool = False) -> bytes:
    """The opposite of decode_plain. Raises UnicodeEncodeError for what the character set does not have."""
    codec, single = _codec(charset)
    raw = text.encode(codec)
    if single and len(raw) != len(text):  # Shift JIS has more than JIS X 0201
        raise UnicodeEncodeError(codec, text, 0, len(text), "not in the character set")
    return raw


def read_numbers(tag: int, vr: str, raw: bytes, encoding: Encoding) -> list[str]:
    """Decimal texts; for AT eight hexadecimal digits each. Raises IdentifierError."""
    if vr == "AT":
        if len(raw) % 4:
            raise IdentifierError("a number has a wrong length", tag)
        return [f"{group:04X}{element:04X}" for group, element in encoding.pair.iter_unpack(raw)]
    number = struct.Struct(encoding.order + NUMBERS[vr])
    if len(raw) % number.size:
        raise IdentifierError("a number has a wrong length", tag)
    if vr == "FL":
        return [f"{value:.9g}" for (value,) in number.iter_unpack(raw)]
    return [repr(value) for (value,) in number.iter_unpack(raw)]


def write_numbers(tag: int, vr: str, text: str, encoding: Encoding) -> bytes:
    """The opposite, from texts joined by backslash. Raises IdentifierError."""
    texts = [one for one in text.split("\\") if one]
    try:
        if vr == "AT":
            return b"".join(encoding.pair.pack(int(one, 16) >> 16, int(one, 16) & 0xFFFF) for one in texts)
        form = encoding.order + NUMBERS[vr]
        return b"".join(struct.pack(form, float(one) if vr in {"FL", "FD"} else int(one)) for one in texts)
    except (ValueError, OverflowError, struct.error) as error:
        raise IdentifierError("a value is no number of its kind", tag) from error


def inflate(data: bytes) -> bytes:
    """At most MAX_IDENTIFIER + 1 bytes (PS3.5 A.5). Raises IdentifierError."""
    inflater = zlib.decompressobj(-15)
    try:
        out = inflater.decompress(data, MAX_IDENTIFIER + 1)
    except zlib.error as error:
        raise IdentifierError("the deflated bytes are damaged") from error
    if not inflater.eof and len(out) <= MAX_IDENTIFIER:
        raise IdentifierError("the deflated bytes are cut off")
    return out


def deflate(data: bytes) -> bytes:
    """The opposite, padded to an even length."""
    deflater = zlib.compressobj(wbits=-15)
    out = deflater.compress(data) + deflater.flush()
    return out + b"\0" * (len(out) & 1)
