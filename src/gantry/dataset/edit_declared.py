"""Edits as they are declared: JSON to checked values and back.

[{"op": "set", "tag": "InstitutionName", "value": "General Hospital"},
 {"op": "remove", "tag": "RequestAttributesSequence[*].ScheduledProcedureStepID"},
 {"op": "copy", "from": "AccessionNumber", "tag": "StudyID"},
 {"op": "replace", "tag": "PatientID", "pattern": "^OLD-", "with": ""},
 {"op": "map", "tag": "StationName", "table": {"CT1": "CT-MAIN"}, "otherwise": "keep"}]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

import regex

from gantry.dataset.edit_errors import BadEdit
from gantry.dataset.edit_paths import Path, parse_path, refuse_untouchable
from gantry.dataset.edit_values import WRITABLE, problem_of

Operation = Literal["set", "remove", "copy", "replace", "map"]
Otherwise = Literal["keep", "remove", "fail"]

MAX_EDITS = 100
MAX_TABLE = 10_000
MAX_VALUES = 100
MAX_TEXT = 10_240
_FIELDS: Mapping[str, tuple[set[str], set[str]]] = {  # needed, allowed
    "set": ({"value"}, {"vr"}),
    "remove": (set(), {"vr"}),
    "copy": ({"from"}, {"vr"}),
    "replace": ({"pattern", "with"}, {"vr"}),
    "map": ({"table"}, {"otherwise", "vr"}),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """One operation; which fields count depends on `op`."""

    op: Operation
    path: Path
    values: tuple[str, ...] = ()
    source: Path | None = None
    pattern: regex.Pattern[str] | None = None
    replacement: str = ""
    table: Mapping[str, str] = field(default_factory=dict)
    otherwise: Otherwise = "keep"
    declared: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edits:
    """Operations in their order; each sees what those before it have done."""

    items: tuple[Edit, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """As declared."""
        return [dict(edit.declared) for edit in self.items]

    def __bool__(self) -> bool:
        return bool(self.items)


def parse_edits(declared: object) -> Edits:
    """Read a declaration. Raises BadEdit, naming the edit by its number."""
    if not isinstance(declared, list | tuple):
        raise BadEdit("edits are a list of operations")
    if len(declared) > MAX_EDITS:
        raise BadEdit(f"at most {MAX_EDITS} edits")
    made = []
    for number, item in enumerate(declared, 1):
        try:
            made.append(_one(item))
        except BadEdit as error:
            raise BadEdit(f"edit {number}: {error}") from error
    return Edits(tuple(made))


def _one(item: object) -> Edit:
    if not isinstance(item, Mapping) or item.get("op") not in get_args(Operation):
        raise BadEdit(f'it needs an "op": one of {", ".join(get_args(Operation))}')
    op = cast("Operation", item["op"])
    needed, allowed = _FIELDS[op]
    if missing := ({"tag"} | needed) - set(item):
        raise BadEdit(f"{op} needs {' and '.join(sorted(missing))}")
    if unknown := set(item) - needed - allowed - {"op", "tag"}:
        raise BadEdit(f"{op} does not know {str(min(map(str, unknown)))[:40]!r}")
    vr = item.get("vr", "")
    if vr and (not isinstance(vr, str) or vr not in WRITABLE):
        raise BadEdit(f"{str(vr)[:10]!r} is no VR whose values are written")
    path = parse_path(item["tag"], vr)
    refuse_untouchable(path, op)
    return _filled(op, path, dict(item))


def _filled(op: Operation, path: Path, item: dict[str, Any]) -> Edit:
    if op == "set":
        return Edit(op, path, values=_values(path, item["value"]), declared=item)
    if op == "copy":
        source = parse_path(item["from"])
        if any(step.item is None for step in source.steps):
            raise BadEdit("copy takes from one place: number the items, as in Sequence[0].Keyword")
        return Edit(op, path, source=source, declared=item)
    if op == "replace":
        return Edit(op, path, pattern=_pattern(item["pattern"]), replacement=_text(item["with"]), declared=item)
    if op == "map":
        table, otherwise = item["table"], item.get("otherwise", "keep")
        if not isinstance(table, Mapping) or not 0 < len(table) <= MAX_TABLE:
            raise BadEdit(f"the table has 1 to {MAX_TABLE} values")
        if otherwise not in get_args(Otherwise):
            raise BadEdit(f"otherwise is one of {', '.join(get_args(Otherwise))}")
        if otherwise == "remove" and path.vr == "UI":
            raise BadEdit("a UID is not removed: say keep or fail")
        for new in table.values():
            _values(path, new)
        return Edit(op, path, table={_text(old): _text(new) for old, new in table.items()}, otherwise=otherwise, declared=item)
    return Edit(op, path, declared=item)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise BadEdit(f"a text of at most {MAX_TEXT} characters is needed, not {str(value)[:40]!r}")
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
        raise BadEdit("the text holds control characters: NUL, or half a character (a lone surrogate)")
    return value


def _values(path: Path, value: object) -> tuple[str, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(values) > MAX_VALUES:
        raise BadEdit(f"at most {MAX_VALUES} values")
    texts = tuple(_text(item) for item in values)
    if texts == ("",):
        return ()
    if path.vr == "SQ":
        raise BadEdit("a sequence is not set; name the elements inside, as in Sequence[0].Keyword")
    if not path.vr:
        raise BadEdit(f'{path} is not in the dictionary: give its "vr"')
    for text in texts:
        if problem := problem_of(path.vr, text):
            raise BadEdit(f"{path}: {text[:40]!r}: {problem}")
    return texts


def _pattern(text: object) -> regex.Pattern[str]:
    pattern = _text(text)
    if len(pattern) > 500:
        raise BadEdit("a regular expression has at most 500 characters")
    try:
        return regex.compile(pattern)
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise BadEdit(f"{pattern[:80]!r} is no regular expression: {error}") from error
