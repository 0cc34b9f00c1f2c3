"""str to the text of a data set: the opposite of charset.py, for the terms that a reader has named."""

from __future__ import annotations

import re

from gantry.dataset.charset import ALONE, CODECS, registration

# How a code element is called in (PS3.3 tables C.12-3 and C.12-4): escape sequence, and whether it stands in G1.
_ESCAPES = {
    "6": (b"\x1b(B", False), "100": (b"\x1b-A", True), "101": (b"\x1b-B", True), "109": (b"\x1b-C", True),
    "110": (b"\x1b-D", True), "144": (b"\x1b-L", True), "127": (b"\x1b-G", True), "126": (b"\x1b-F", True),
    "138": (b"\x1b-H", True), "148": (b"\x1b-M", True), "166": (b"\x1b-T", True), "203": (b"\x1b-b", True),
    "13": (b"\x1b)I", True), "149": (b"\x1b$)C", True), "58": (b"\x1b$)A", True), "87": (b"\x1b$B", False),
    "159": (b"\x1b$(D", False),
}  # fmt: skip
_JIS = {"87": ("iso2022_jp", b"\x1b$B"), "159": ("iso2022_jp_1", b"\x1b$(D")}
_SEVERAL_BYTES = frozenset({"192", "GB18030", "GBK", "149", "58"})
# What sets the code elements back to those of the first term (PS3.5 6.1.2.5.3).
_DELIMITERS = re.compile(r"([\x00-\x1f\\])")
_DELIMITERS_OF_NAMES = re.compile(r"([\x00-\x1f\\^=])")


def encode_text(text: str, charset: bytes, person_name: bool = False) -> bytes:
    """The bytes of `text` for a reader of the Specific Character Set `charset`, with code extensions where it has them.

    Raises UnicodeEncodeError for what that character set cannot say, and for one that is not known.
    """
    if text.isascii():
        return text.encode("ascii")
    terms = [registration(term) for term in charset.decode("ascii", "replace").split("\\")]
    known = [term for term in terms if term is not None]
    if len(known) < len(terms):
        raise UnicodeEncodeError("ascii", text, 0, len(text), "the character set is not known")
    if known[0] in ALONE or (len(known) == 1 and known[0] not in {"87", "159", "149", "58"}):
        return _plain(text, known[0])
    pieces = (_DELIMITERS_OF_NAMES if person_name else _DELIMITERS).split(text)
    return b"".join(piece.encode("ascii") if piece.isascii() else _extended(piece, known) for piece in pieces)


def _plain(text: str, term: str) -> bytes:
    raw = text.encode(CODECS[term])
    if term not in _SEVERAL_BYTES and len(raw) != len(text):  # Shift JIS has more than JIS X 0201
        raise UnicodeEncodeError(CODECS[term], text, 0, len(text), "not in the character set")
    return raw


def _extended(piece: str, terms: list[str]) -> bytes:
    """A text without delimiters; it ends with ASCII in G0 again."""
    first = terms[0]
    ascii_again = b"\x1b(J" if first == "13" else b"\x1b(B"
    low, high = "6", first
    parts: list[bytes] = []
    for character in piece:
        if character.isascii():
            if low != "6":
                parts.append(ascii_again)
                low = "6"
            parts.append(character.encode())
            continue
        term, raw = _first_that_can(character, [low, high, *terms])
        escape, in_g1 = _ESCAPES[term]
        if (in_g1 and term != high) or (not in_g1 and term != low):
            parts.append(escape)
        low, high = (low, term) if in_g1 else (term, high)
        parts.append(raw)
    if low != "6":
        parts.append(ascii_again)
    return b"".join(parts)


def _first_that_can(character: str, terms: list[str]) -> tuple[str, bytes]:
    for term in terms:
        try:
            if term not in _JIS:
                return term, _plain(character, term)
            codec, escape = _JIS[term]
            raw = character.encode(codec)
        except UnicodeEncodeError:
            continue
        if raw.startswith(escape):
            return term, raw[len(escape) : len(escape) + 2]
    raise UnicodeEncodeError("iso2022", character, 0, 1, "not in the character set")
