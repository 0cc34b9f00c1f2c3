"""Person names as they are searched: without case, accents and width, group by group (PS3.5 6.2.1).

What the write path stores beside a name and what a search asks for go through the same function.
"""

from __future__ import annotations

import unicodedata

#: As rows.TEXT_BYTES: two of these and a UID fit into an index row.
SEARCH_BYTES = 1000
#: Combining marks of Latin, Greek and Cyrillic; those of other scripts make another letter.
_MARKS = dict.fromkeys(range(0x0300, 0x0370))
#: Letters with a stroke and ligatures that Unicode does not take apart.
_STROKES = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d",
                          "\N{LATIN SMALL LETTER DOTLESS I}": "i"})  # fmt: skip


def fold(text: str) -> str:
    """The text without case, accents of Latin, Greek and Cyrillic, and without full or half width."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).translate(_MARKS).casefold().translate(_STROKES)
    return unicodedata.normalize("NFC", plain)


def search_groups(name: str) -> tuple[str, str, str]:
    """Alphabetic, ideographic and phonetic group of a name, folded, without empty components at their ends."""
    alphabetic, ideographic, phonetic = [*map(_group, name.split("=")[:3]), "", ""][:3]
    return alphabetic, ideographic, phonetic


def _group(group: str) -> str:
    folded = "^".join([part.strip() for part in fold(group).split("^")]).rstrip("^")
    # One character may become eighteen, and no index row may overflow.
    return folded if len(folded) * 4 <= SEARCH_BYTES else folded.encode()[:SEARCH_BYTES].decode("utf-8", "ignore")


def search_text(name: str) -> str:
    """The three groups joined by equals signs, for a name that has one column."""
    return "=".join(search_groups(name)) if name else ""
