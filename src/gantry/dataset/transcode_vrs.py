"""Which VR an element in implicit VR has: the dictionary of PS3.6, and the choices that PS3.5 leaves to the data set."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from gantry.dataset.vr_table import TABLE

#: Waveform elements follow Waveform Bits Allocated, not Bits Allocated (PS3.5 A.2); in OW nothing changes for 8 bits.
_PIXEL_DATA = 0x7FE00010
_LUT_ENTRIES = 0x00283006


@functools.cache
def _tables() -> tuple[Mapping[int, str], Mapping[int, Mapping[int, str]]]:
    """By tag; and by mask (the bits that count) and tag, for repeating groups (PS3.6 chapter 6)."""
    plain: dict[int, str] = {}
    masked: dict[int, dict[int, str]] = {}
    for vr, text in TABLE.items():
        for group in text.split(" "):
            number, _, elements = group.partition(":")
            for element in elements.split(","):
                tag = number + element
                if "x" in tag:
                    mask = int("".join("0" if digit == "x" else "F" for digit in tag), 16)
                    masked.setdefault(mask, {})[int(tag.replace("x", "0"), 16)] = vr
                else:
                    plain[int(tag, 16)] = vr
    return plain, masked


def dictionary_vr(tag: int) -> str:
    """The VR of a tag: two letters, `xs`, `ox` or `lx` where the standard leaves it open, UN where it is not known.

    Private elements are UN, their creators LO, group lengths UL (PS3.5 7.2, 7.8.1).
    """
    if not tag & 0xFFFF:
        return "UL"
    if tag & 0x10000:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    plain, masked = _tables()
    if vr := plain.get(tag):
        return vr
    for mask, tags in masked.items():
        if vr := tags.get(tag & mask):
            return vr
    return "UN"


def settled_vr(vr: str, tag: int, *, length: int, signed: bool, bits_allocated: int) -> str:
    """What an open VR is in this data set (PS3.5 A.2, PS3.3 C.7.6.3.1, C.11.1.1): `signed` is Pixel Representation 1."""
    if vr == "xs":
        return "SS" if signed else "US"
    if vr == "ox":
        return "OB" if tag == _PIXEL_DATA and 0 < bits_allocated <= 8 else "OW"
    if vr == "lx":  # one number is US; what is longer would not fit the 16 bit length of US
        return ("SS" if signed and tag != _LUT_ENTRIES else "US") if length == 2 else "OW"
    return vr
