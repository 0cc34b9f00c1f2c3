"""Does an answer fit what was asked? For nodes that ignore keys (matching of PS3.4 C.2.2.2, on our side)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from dimse.dictionary import tag_of, vr_of

_WILD = frozenset(["AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"])
_RANGES = frozenset(["DA", "TM", "DT"])
_COUNTED = frozenset(["IS", "DS", "US", "UL", "SS", "SL"])
_SPAN = {"DA": re.compile(r"([0-9.]*)-([0-9.]*)"), "TM": re.compile(r"([0-9:.]*)-([0-9:.]*)"),
         "DT": re.compile(r"([0-9.]{0,21}(?:[+-]\d{4}(?=-|$))?)-([0-9.]{0,21}(?:[+-]\d{4})?)")}  # fmt: skip


def misfits(keys: Mapping[str, str | Sequence[str]], answer: Mapping[str, str | Sequence[str]], *, partial: bool) -> list[str]:
    """The keys that the answer breaks.

    What the answer does not hold at all cannot be judged and passes; with `partial` (FF01: the node did not support
    some optional key) what came back empty passes too.
    """
    return [
        keyword
        for keyword, asked in keys.items()
        if keyword in answer and not _fits(vr_of(tag_of(keyword)), asked, answer[keyword], partial=partial)
    ]


def _fits(vr: str, asked: str | Sequence[str], answered: str | Sequence[str], *, partial: bool) -> bool:
    wanted = [asked] if isinstance(asked, str) else list(asked)
    if not any(wanted) or "*" in wanted:
        return True  # universal matching
    values = [value for value in ([answered] if isinstance(answered, str) else answered) if value]
    if not values:
        return partial
    test = _test(vr)
    return any(test(one, value) for one in wanted for value in values)


def _test(vr: str) -> Callable[[str, str], bool]:
    if vr == "PN":
        return _names
    if vr in _RANGES:
        return lambda asked, value: _within(vr, asked, value)
    if vr in _COUNTED:
        return _numbers
    if vr in _WILD:
        return lambda asked, value: _wild(asked.strip(" "), value.strip(" "))
    return lambda asked, value: asked.strip(" \0") == value.strip(" \0")


def _wild(asked: str, value: str) -> bool:
    """`*` any characters, `?` one. Time is at most the product of the lengths, whatever the two hold."""
    at = here = 0
    star, mark = -1, 0
    while here < len(value):
        if at < len(asked) and asked[at] == "*":
            star, mark = at, here
            at += 1
        elif at < len(asked) and asked[at] in {"?", value[here]}:
            at += 1
            here += 1
        elif star >= 0:  # the last star takes one character more
            mark += 1
            at, here = star + 1, mark
        else:
            return False
    return not asked[at:].strip("*")


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Without case and accents (PS3.4 C.2.2.2.1: both may be ignored in names)."""
    parts = unicodedata.normalize("NFKD", name.casefold())
    return "".join(sign for sign in parts if not unicodedata.combining(sign))


def _names(asked: str, value: str) -> bool:
    """Any group of components; empty ones at the end count for nothing, and a family name alone fits its bearers."""
    for group in [value, *value.split("=")]:
        for wanted in [asked, *asked.split("=")]:
            want, have = _plain(wanted).rstrip("^ "), _plain(group).rstrip("^ ")
            if want and (_wild(want, have) or _wild(want + "^*", have)):
                return True
    return False


def _numbers(asked: str, value: str) -> bool:
    try:
        return float(asked) == float(value)
    except ValueError:
        return asked.strip() == value.strip()


def _within(vr: str, asked: str, value: str) -> bool:
    """A date, a time, or a range of them (PS3.4 C.2.2.2.5); what the key leaves out counts for nothing."""
    have = _digits(value)
    if not have:
        return False
    span = _SPAN[vr].fullmatch(asked.strip())
    if span is None or (not span[1] and not span[2]):
        want = _digits(asked)
        size = min(len(want), len(have))
        return want[:size] == have[:size] and size > 0
    low, high = _digits(span[1]), _digits(span[2])
    return (not low or have >= low[: len(have)]) and (not high or have[: len(high)] <= high[: len(have)])


def _digits(text: str) -> str:
    """20260131 from 2026.01.31, 101500 from 10:15:00.000; zeros of a fraction, which say nothing, are cut."""
    main, _, fraction = text.strip(" ").partition(".")
    if len(main) == 4 and fraction.count(".") == 1:  # the old form of a date
        main, fraction = text.strip(" ").replace(".", ""), ""
    main = re.sub(r"[^0-9]", "", re.sub(r"[+-]\d{4}$", "", main))
    return main + re.sub(r"[^0-9].*$", "", fraction).rstrip("0")
