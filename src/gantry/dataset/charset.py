"""Text of a data set to str: Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1 and annexes H to K).

Never raises: bytes that are no characters become U+FFFD, with a warning. None of the codecs below
gives lone surrogates, which PostgreSQL could not keep (tried with all sequences of their bytes).
"""

from __future__ import annotations

import re
from functools import lru_cache

from gantry.dataset.escapes import ESCAPE, decode_with_escapes

_MAX_TERM_BYTES = 1024

# Tables C.12-2 to C.12-5 by ISO registration number. 87, 159, 149 and 58 have no code of their own
# before their escape sequence; 149 and 58 stand in G1 and so leave ASCII as it is.
CODECS = {
    "6": "ascii",
    "100": "iso8859-1",
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "144": "iso8859-5",
    "127": "iso8859-6",
    "126": "iso8859-7",
    "138": "iso8859-8",
    "148": "iso8859-9",
    "203": "iso8859-15",
    "13": "shift_jis",  # JIS X 0201; Shift JIS adds only what has no meaning there
    "166": "tis-620",
    "192": "utf-8",
    "87": "ascii",
    "159": "ascii",
    "149": "euc_kr",
    "58": "gb2312",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
#: No code extensions with these.
ALONE = frozenset({"192", "GB18030", "GBK"})
_BY_ISO_8859_PART = {"1": "100", "2": "101", "3": "109", "4": "110", "5": "144", "6": "127", "7": "126",
                     "8": "138", "9": "148", "11": "166", "15": "203"}  # fmt: skip
_OTHER_SPELLINGS = {"UTF8": "192", "USASCII": "6", "ASCII": "6", "LATIN1": "100", "SHIFTJIS": "13",
                    "SJIS": "13", "GB2312": "GBK",
                     "ISO2022GBK": "GBK", "ISO2022GB18030": "GB18030"}  # fmt: skip
_REGISTRATION = re.compile(r"(?:ISO)?(?:2022)?(?:IR)?(\d{1,3})")
_ISO_8859 = re.compile(r"ISO8859(\d{1,2})")
_EXACT = re.compile(
    r"ISO_IR (?:6|13|100|101|109|110|126|127|138|144|148|166|192|203)|GB18030|GBK"
    r"|ISO 2022 IR (?:6|13|58|87|100|101|109|110|126|127|138|144|148|149|159|166|203)"
)


class CharacterSet:
    """How the text of one data set is decoded."""

    __slots__ = ("_codecs", "_guess", "warnings")

    def __init__(self, terms: list[str]) -> None:
        warnings: list[str] = []
        self._codecs: list[str] = []
        for term in terms:
            registered = registration(term)
            if registered is None:
                warnings.append("Specific Character Set has an unknown term; UTF-8 or ISO 8859-1 is assumed")
            elif term and not _EXACT.fullmatch(term):
                warnings.append("Specific Character Set has a misspelled term")
            self._codecs.append("ascii" if registered is None else CODECS[registered])
            if len(terms) > 1 and registered in ALONE:
                warnings.append("Specific Character Set joins a term that must stand alone with others")
                self._codecs = [CODECS[registered]]
                break
        self._guess = self._codecs[0] == "ascii" and len(self._codecs) == 1
        self.warnings = tuple(dict.fromkeys(warnings))

    def decode(self, raw: bytes, warnings: list[str], *, person_name: bool = False) -> str:
        """The text of `raw`, which may hold several values; adds to `warnings` what was odd.

        `person_name`: also the caret and the equals sign end what an escape sequence began (PS3.5 6.1.2.5.3).
        """
        if raw.isascii() and ESCAPE not in raw:
            return raw.decode("ascii")
        codec = self._codecs[0]
        if ESCAPE in raw and codec not in {"utf-8", "gb18030", "gbk"}:
            return decode_with_escapes(raw, self._codecs, warnings, person_name=person_name)
        if self._guess:
            warnings.append("text outside of ASCII without a Specific Character Set; a guess was made")
            return _guessed(raw)
        return self._decode_plain(raw, codec, warnings)

    def _decode_plain(self, raw: bytes, codec: str, warnings: list[str]) -> str:
        if codec == "ascii":  # code extensions, yet no escape sequence: the one in G1 may have been meant
            codec = next((other for other in self._codecs if other != "ascii"), "ascii")
            warnings.append("an escape sequence is missing in a text")
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            warnings.append("a text holds bytes that are no characters of its Specific Character Set")
            return raw.decode(codec, "replace")


def _guessed(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("iso8859-1")


def registration(term: str) -> str | None:
    """The registration number that a term means, also when misspelled; None for what we cannot know."""
    plain = re.sub(r"[^A-Z0-9]", "", term.upper())
    if not plain:
        return "6"
    if plain in _OTHER_SPELLINGS:
        return _OTHER_SPELLINGS[plain]
    if match := _ISO_8859.fullmatch(plain):
        return _BY_ISO_8859_PART.get(match[1])
    if match := _REGISTRATION.fullmatch(plain):
        return match[1] if match[1] in CODECS else None
    return plain if plain in CODECS else None


@lru_cache(maxsize=256)
def _from_terms(raw: bytes) -> CharacterSet:
    text = raw.decode("ascii", "replace")
    return CharacterSet([term.strip(" \0") for term in text.split("\\")])


def character_set(raw: bytes) -> CharacterSet:
    """The character set that the value of (0008,0005) declares; empty: the default repertoire (ISO_IR 6)."""
    return _from_terms(raw[:_MAX_TERM_BYTES])
