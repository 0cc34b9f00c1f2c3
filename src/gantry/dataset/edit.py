"""Declared edits of a data set: set, remove, copy, replace, map. The original is never touched.

`parse_edits` reads and checks a declaration, `prepare` works out what an object becomes, `apply` writes it. Only
the elements that an edit names are written anew; everything else, the pixel data above all, is copied from the
original bytes as it stands, piece by piece. Works in any transfer syntax but the deflated ones.
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import regex

from gantry.dataset.edit_declared import Edit, Edits, parse_edits
from gantry.dataset.edit_errors import BadEdit, CannotEdit, EditError
from gantry.dataset.edit_paths import Path, Step, name_of
from gantry.dataset.edit_tree import Entry, Level, Piece, Tree
from gantry.dataset.edit_values import decode_values, encode_values
from gantry.dataset.encodings import Buffer, Encoding, declared_encoding, detect_encoding, is_deflated, looks_right

__all__ = ["BadEdit", "CannotEdit", "Difference", "Edit", "EditError", "EditResult", "Edited", "Edits", "apply", "parse_edits",
           "prepare"]  # fmt: skip

#: How long one regular expression may search in one value, seconds.
REGEX_SECONDS = 0.05
#: Bytes handed over at a time.
STEP = 1 << 20
_SHOWN = 200
_SOP_INSTANCE_UID = 0x00080018


class Writes(Protocol):
    """Anything with `write`."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take these bytes."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One element that became another: texts of at most 200 characters; None: it is not there. These are patient data."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class EditResult:
    """What was written: number of bytes, their SHA-256, what differs, and the SOP Instance UID where it changed."""

    bytes: int
    sha256: builtins.bytes
    differences: tuple[Difference, ...]
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """An object as it becomes; nothing is copied before `pieces` is read. `size` is in bytes."""

    size: int
    differences: tuple[Difference, ...]
    sop_instance_uid: str | None
    _data: memoryview
    _pieces: tuple[Piece, ...]

    def pieces(self) -> Iterator[memoryview]:
        """The data set in order, at most STEP bytes at a time; views of the original where it stays."""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield memoryview(piece)
                continue
            for start in range(piece[0], piece[1], STEP):
                yield self._data[start : min(start + STEP, piece[1])]


def apply(edits: Edits, data: Buffer, transfer_syntax_uid: str, into: Writes) -> EditResult:
    """Write the edited data set. `data` is the data set without file meta, bytes or a map of the file. Raises CannotEdit."""
    edited = prepare(edits, data, transfer_syntax_uid)
    digest = hashlib.sha256()
    for piece in edited.pieces():
        digest.update(piece)
        into.write(piece)
    return EditResult(edited.size, digest.digest(), edited.differences, edited.sop_instance_uid)


def prepare(edits: Edits, data: Buffer, transfer_syntax_uid: str) -> Edited:
    """What the data set becomes. Raises CannotEdit: then nothing of the object may be sent."""
    if is_deflated(transfer_syntax_uid):
        raise CannotEdit("a deflated data set is not edited: have the sender use another transfer syntax")
    view = memoryview(data)
    encoding = declared_encoding(transfer_syntax_uid)
    if not looks_right(view, encoding):
        encoding = detect_encoding(view, start=0, total=len(view)) or encoding
    tree = Tree(view, encoding)
    worker = _Worker(tree)
    for edit in edits.items:
        worker.carry_out(edit)
    pieces = tuple(tree.pieces())
    size = sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
    differences = tuple(worker.differences())
    uid = next((d.after for d in differences if d.path == "SOPInstanceUID"), None)
    return Edited(size, differences, uid, view, pieces)


class _Worker:
    """Carries edits out on a tree and remembers what was there before."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._encoding: Encoding = tree.encoding
        self._before: dict[tuple[int, str, int], tuple[Level, str | None]] = {}

    def differences(self) -> Iterator[Difference]:
        """First state against last, in the order in which elements were first changed."""
        for (_, path, tag), (level, before) in self._before.items():
            after = self._shown(level, tag)
            if before != after:
                yield Difference(path, before, after)

    def carry_out(self, edit: Edit) -> None:
        """One edit, wherever its path leads."""
        operation: Callable[[Edit, Level, str], None] = getattr(self, f"_{edit.op}")
        for level, prefix in self._levels(edit.path.steps, create=edit.op in {"set", "copy"}):
            operation(edit, level, prefix)

    # The operations

    def _set(self, edit: Edit, level: Level, prefix: str) -> None:
        self._put(edit.path, edit.values, level, prefix)

    def _remove(self, edit: Edit, level: Level, prefix: str) -> None:
        if (entry := _find(level, edit.path.tag)) is None:
            return
        if entry.explicit_vr == "UI":
            raise CannotEdit(f"{edit.path} is a UID: only an explicit `map` may change it")
        self._note(level, prefix, edit.path.tag)
        _drop(level, edit.path.tag)

    def _copy(self, edit: Edit, level: Level, prefix: str) -> None:
        assert edit.source is not None
        for source, _ in self._levels(edit.source.steps, create=False):
            if _find(source, edit.source.tag) is not None:
                self._put(edit.path, self._values(edit.source, source), level, prefix)
                return

    def _replace(self, edit: Edit, level: Level, prefix: str) -> None:
        assert edit.pattern is not None
        if _find(level, edit.path.tag) is None:
            return
        before = self._values(edit.path, level)
        try:
            after = [edit.pattern.sub(edit.replacement, value, timeout=REGEX_SECONDS) for value in before]
        except TimeoutError as error:
            raise CannotEdit(f"{edit.path}: the regular expression took longer than {REGEX_SECONDS * 1000:.0f} ms") from error
        except (regex.error, IndexError) as error:
            raise CannotEdit(f"{edit.path}: the replacement does not fit the regular expression") from error
        if after != before:
            self._put(edit.path, after, level, prefix)

    def _map(self, edit: Edit, level: Level, prefix: str) -> None:
        if _find(level, edit.path.tag) is None:
            return
        before = self._values(edit.path, level)
        if edit.otherwise != "keep" and not all(value in edit.table for value in before):
            if edit.otherwise == "fail":
                raise CannotEdit(f"{edit.path}: its value is not in the table")
            self._note(level, prefix, edit.path.tag)
            _drop(level, edit.path.tag)
            return
        after = [edit.table.get(value, value) for value in before]
        if after != before:
            self._put(edit.path, after, level, prefix, uid=True)

    # Their tools

    def _values(self, path: Path, level: Level) -> list[str]:
        entry = _find(level, path.tag)
        if entry is None:
            return []
        vr = self._vr(path, entry)
        return decode_values(self._tree.raw_of(entry), vr, level.charset, self._encoding, str(path))

    def _vr(self, path: Path, entry: Entry | None) -> str:
        written = entry.explicit_vr if entry is not None else ""
        return written if written and written != "UN" else path.vr

    def _put(self, path: Path, values: Sequence[str], level: Level, prefix: str, *, uid: bool = False) -> None:
        entry = _find(level, path.tag)
        vr = self._vr(path, entry)
        if vr == "UI" and not uid:
            raise CannotEdit(f"{path} is a UID: only an explicit `map` may change it")
        if not vr:
            raise CannotEdit(f"{path}: its VR is not known: name it in the edit")
        raw = encode_values(values, vr, level.charset, self._encoding, str(path))
        self._note(level, prefix, path.tag)
        if entry is None:
            entry = Entry(path.tag, vr)
            place = next((n for n, other in enumerate(level.entries) if other.tag > path.tag), len(level.entries))
            level.entries.insert(place, entry)
        else:
            level.entries = [other for other in level.entries if other is entry or other.tag != path.tag]
        entry.vr, entry.raw, entry.items = vr, raw, None
        entry.explicit_vr = "" if self._encoding.implicit else vr

    def _note(self, level: Level, prefix: str, tag: int) -> None:
        level.touched.add(tag >> 16)
        key = (id(level), prefix + name_of(tag), tag)
        if key not in self._before:
            self._before[key] = (level, self._shown(level, tag))

    def _shown(self, level: Level, tag: int) -> str | None:
        entry = _find(level, tag)
        if entry is None:
            return None
        try:
            raw = self._tree.raw_of(entry)
            return "\\".join(decode_values(raw, entry.vr, level.charset, self._encoding, ""))[:_SHOWN]
        except CannotEdit:
            return "a sequence" if entry.vr == "SQ" else f"{max(0, entry.end - entry.value)} bytes"

    def _levels(self, steps: Sequence[Step], *, create: bool) -> list[tuple[Level, str]]:
        """The data set, or the items that the sequences on the way lead to, each with its path."""
        found = [(self._tree.root, "")]
        for step in steps:
            inner: list[tuple[Level, str]] = []
            for level, prefix in found:
                inner += self._items(level, prefix, step, create=create)
            found = inner
        return found

    def _items(self, level: Level, prefix: str, step: Step, *, create: bool) -> list[tuple[Level, str]]:
        entry = _find(level, step.tag)
        if entry is None:
            if not (create and step.named_item):
                return []
            entry = Entry(step.tag, "SQ", items=[])
            place = next((n for n, other in enumerate(level.entries) if other.tag > step.tag), len(level.entries))
            level.entries.insert(place, entry)
        items = self._tree.open(entry, level.charset)
        wanted = range(len(items)) if step.item is None else [step.item]
        if create and step.item == 0 and not items:
            items.append(Level([], level.charset, length=0))
        if create and step.named_item and step.item is not None and step.item >= len(items):
            raise CannotEdit(f"{name_of(step.tag)} has {len(items)} items: there is no [{step.item}]")
        # Written anew with the same bytes where nothing changes in the end.
        entry.changed = True
        level.touched.add(step.tag >> 16)
        return [(items[n], f"{prefix}{name_of(step.tag)}[{n}].") for n in wanted if n < len(items)]


def _find(level: Level, tag: int) -> Entry | None:
    return next((entry for entry in level.entries if entry.tag == tag), None)


def _drop(level: Level, tag: int) -> None:
    level.entries = [entry for entry in level.entries if entry.tag != tag]
