"""A structured report as a tree that people can read (PS3.3 C.17.3, annex A.35)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.dataset.attributes import Attributes
from gantry.dataset.attributes_values import Values

MAX_NODES = 10_000
MAX_DEPTH = 40
MAX_TEXT = 64 << 10
_CONTENT, _CONCEPT, _MEANING = 0x0040A730, 0x0040A043, 0x00080104
_PLAIN = {"TEXT": 0x0040A160, "DATETIME": 0x0040A120, "DATE": 0x0040A121, "TIME": 0x0040A122, "PNAME": 0x0040A123,
          "UIDREF": 0x0040A124}  # fmt: skip
_REFERENCES = frozenset({"IMAGE", "COMPOSITE", "WAVEFORM"})
_FACTS = ((0x0040A491, "Completion"), (0x0040A493, "Verification"), (0x00080023, "Date"), (0x00080033, "Time"),
          (0x00080080, "Institution"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """One content item. `kind` is its value type; `reference`: the SOP Instance UID of what it points to."""

    kind: str
    relation: str
    name: str
    value: str
    reference: str = ""
    frames: list[int] = field(default_factory=list)
    items: list[Content] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its title, what its head says, its content. `cut`: it has more than is shown."""

    title: str
    facts: list[tuple[str, str]]
    content: list[Content]
    cut: bool


class _Tree:
    def __init__(self) -> None:
        self.left = MAX_NODES
        self.cut = False

    def items(self, parent: Values, depth: int) -> list[Content]:
        found: list[Content] = []
        if depth > MAX_DEPTH:
            self.cut = True
            return found
        for item in parent.items(_CONTENT):
            self.left -= 1
            if self.left < 0:
                self.cut = True
                break
            found.append(self._one(item, depth))
        return found

    def _one(self, item: Values, depth: int) -> Content:
        kind = item.text(0x0040A040).upper()
        value, reference, frames = "", "", []
        if kind in _PLAIN:
            value = item.text(_PLAIN[kind])[:MAX_TEXT]
            value = _person(value) if kind == "PNAME" else _moment(value) if kind in {"DATE", "TIME", "DATETIME"} else value
        elif kind == "CODE":
            value = _meaning(item, 0x0040A168)
        elif kind == "NUM":
            measured = item.item(0x0040A300)
            value = " ".join(filter(None, [measured.text(0x0040A30A), _unit(measured)])) if measured else ""
            value = value or _meaning(item, 0x0040A301)
        elif kind in _REFERENCES and (points := item.item(0x00081199)) is not None:
            reference = points.text(0x00081155)
            frames = [int(number) for number in points.floats(0x00081160)[:1000]]
        elif kind in {"SCOORD", "SCOORD3D", "TCOORD"}:
            value = item.text(0x00700023) or item.text(0x0040A130)
        return Content(
            kind, item.text(0x0040A010).upper(), _meaning(item, _CONCEPT), value, reference, frames, self.items(item, depth + 1)
        )


def _meaning(item: Values, tag: int) -> str:
    code = item.item(tag)
    return (code.text(_MEANING) or code.text(0x00080100)) if code is not None else ""


def _unit(measured: Values) -> str:
    code = measured.item(0x004008EA)
    if code is None:
        return ""
    unit = code.text(0x00080100)
    return "" if unit in {"1", "{no units}"} else unit if unit and len(unit) < 12 else code.text(_MEANING)


def _person(value: str) -> str:
    family, _, rest = value.partition("=")[0].partition("^")
    return ", ".join(part for part in (family, " ".join(filter(None, rest.split("^")))) if part)


def _moment(value: str) -> str:
    """20240301 and 101500 as people write them; anything else as it came."""
    if len(value) >= 8 and value[:8].isdigit():
        date = f"{value[:4]}-{value[4:6]}-{value[6:8]}"
        return f"{date} {_moment(value[8:])}" if len(value) > 8 else date
    if len(value) >= 4 and value[:4].isdigit():
        return f"{value[:2]}:{value[2:4]}" + (f":{value[4:6]}" if value[4:6].isdigit() else "")
    return value


def report_of(attributes: Attributes) -> Report | None:
    """The tree; None when the data set has no content items."""
    root = Values(attributes)
    if root.element(_CONTENT) is None:
        return None
    tree = _Tree()
    content = tree.items(root, 0)
    facts = [(name, _moment(value)) for tag, name in _FACTS if (value := root.text(tag))]
    observers = [_person(item.text(0x0040A075)) for item in root.items(0x0040A073)]
    facts += [("Verified by", name) for name in observers if name]
    return Report(_meaning(root, _CONCEPT), facts, content, tree.cut)
