"""Which element an edit means: `PatientID`, `(0010,0020)`, `RequestAttributesSequence[0].ScheduledProcedureStepID`."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from gantry.dataset.edit_errors import BadEdit

MAX_DEPTH = 8
_STEP = re.compile(
    r"(?:(?P<keyword>[A-Za-z][A-Za-z0-9]{0,63})|\(?(?P<group>[0-9A-Fa-f]{4}),?(?P<element>[0-9A-Fa-f]{4})\)?)"
    r"(?:\[(?P<item>\d{1,4}|\*)\])?",
    re.ASCII,
)
_SPLIT = re.compile(r"\.(?![0-9]*\])")
#: The description of the pixels: with another one they could not be read any more (PS3.3 C.7.6.3).
_PIXELS = frozenset({
    0x00280002, 0x00280003, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
    0x00280103,
})  # fmt: skip
_CHARACTER_SET = 0x00080005
_SOP_CLASS = 0x00080016


@dataclass(frozen=True, slots=True)
class Step:
    """One element on the way; `item` is which item of a sequence (None: all)."""

    tag: int
    item: int | None = None
    named_item: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """Where an edit works: sequences on the way, and the element at its end. `vr` is that of the dictionary, '' unknown."""

    steps: tuple[Step, ...]
    tag: int
    vr: str

    def __str__(self) -> str:
        parts = [f"{name_of(step.tag)}[{'*' if step.item is None else step.item}]" for step in self.steps]
        return ".".join([*parts, name_of(self.tag)])


@cache
def _dictionary() -> tuple[dict[str, int], dict[int, tuple[str, str]]]:
    by_keyword: dict[str, int] = {}
    by_tag: dict[int, tuple[str, str]] = {}
    text = resources.files("gantry.dataset").joinpath("edit_keywords.txt").read_text(encoding="ascii")
    for line in text.splitlines():
        number, vr, keyword = line.split(" ")
        by_keyword[keyword] = int(number, 16)
        by_tag[int(number, 16)] = (vr, keyword)
    return by_keyword, by_tag


def vr_of(tag: int) -> str:
    """The VR of a tag in PS3.6; LO for a private creator; '' where it is not known."""
    if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"
    return _dictionary()[1].get(tag, ("", ""))[0]


def name_of(tag: int) -> str:
    """The keyword of a tag, or (gggg,eeee)."""
    known = _dictionary()[1].get(tag)
    return known[1] if known else f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _tag(match: re.Match[str]) -> int:
    if match["keyword"] is None:
        return int(match["group"] + match["element"], 16)
    by_keyword = _dictionary()[0]
    tag = by_keyword.get(match["keyword"])
    if tag is None:
        near = difflib.get_close_matches(match["keyword"], by_keyword, n=2, cutoff=0.7)
        raise BadEdit(f"{match['keyword']!r} is no keyword of PS3.6" + (f": did you mean {' or '.join(near)}?" if near else ""))
    return tag


def parse_path(text: object, vr: str = "") -> Path:
    """Read a path; `vr` is for elements that the dictionary does not know. Raises BadEdit."""
    if not isinstance(text, str) or not text or len(text) > 500:
        raise BadEdit(f"{str(text)[:80]!r} names no element: write a keyword or (gggg,eeee)")
    matches = [_STEP.fullmatch(part.strip()) for part in _SPLIT.split(text)]
    if len(matches) > MAX_DEPTH:
        raise BadEdit(f"{text[:80]!r}: at most {MAX_DEPTH} steps")
    steps = []
    for match in matches:
        if match is None:
            raise BadEdit(f"{text[:80]!r} names no element: write a keyword, (gggg,eeee), or Sequence[0].Keyword")
        steps.append((_tag(match), match["item"]))
    for tag, _ in steps[:-1]:
        if vr_of(tag) not in {"SQ", ""}:
            raise BadEdit(f"{name_of(tag)} is no sequence: nothing lies inside of it")
    last, item = steps[-1]
    if item is not None:
        raise BadEdit(f"{text[:80]!r}: an item is no element; name the element inside of it")
    walked = tuple(Step(tag, None if which in {None, "*"} else int(which), which not in {None, "*"}) for tag, which in steps[:-1])
    return Path(walked, last, vr_of(last) or vr)


def refuse_untouchable(path: Path, op: str) -> None:
    """What no edit may touch. Raises BadEdit with the reason."""
    tag, name = path.tag, name_of(path.tag)
    for each in (*(step.tag for step in path.steps), tag):
        group = each >> 16
        if group < 0x0008 or group >= 0x7FE0 or each & 0xFFFF == 0:
            raise BadEdit(f"{name_of(each)} is not edited: pixel data, what follows it, group lengths and groups below 0008 stay")
    if tag in _PIXELS:
        raise BadEdit(f"{name} describes the pixel data and is not edited")
    if tag in {_CHARACTER_SET, _SOP_CLASS}:
        raise BadEdit(f"{name} is not edited: the rest of the object depends on it")
    if (path.vr == "UI") and op != "map":
        raise BadEdit(f"{name} is a UID: only an explicit `map` from old to new may change it")
