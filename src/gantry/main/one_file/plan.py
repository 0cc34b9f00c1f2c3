"""What a file changes: section by section, object by object, field by field."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import psycopg

from gantry.audit.record import By
from gantry.main.one_file.errors import FileRefused
from gantry.main.one_file.schema import Part
from gantry.main.one_file.text import Document

#: How the rooms name the field that is wrong: `bandwidth: ...`, `days is -1; ...`.
_FIELD = re.compile(r"(\w+)(?:: | is )", re.ASCII)
Item = TypeVar("Item", bound=Part)
#: named: it differs, and is not changed by this run (settings). unmanaged: it is here and not in the file.
What = Literal["added", "changed", "removed", "unmanaged", "named"]


class WrongField(ValueError):
    """A field of an item cannot be like this."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.field = name


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs; `fields` has (before, after), secrets as words. `line` in the file, 0: not there."""

    section: str
    key: str
    change: What
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    line: int = 0

    @property
    def real(self) -> bool:
        """Whether something here becomes another."""
        return self.change in {"added", "changed", "removed"}

    def __str__(self) -> str:
        head = f"{self.section} {self.key}: {self.change}"
        fields = "; ".join(f"{name} {shown(old)} -> {shown(new)}" for name, (old, new) in self.fields.items())
        return f"{head}: {fields}" if fields and self.change in {"changed", "named"} else head


def shown(value: Any) -> str:
    """A value in a line for people."""
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@dataclass(slots=True)
class Run:
    """One application of a file. `connection` is Django's own, inside its transaction; `undo` is called, the last
    first, when that is rolled back: for files, which know no transactions."""

    home: Path
    connection: psycopg.Connection[Any]
    by: By
    prune: bool = False
    seal: bool = False
    invite: bool = False
    notes: list[str] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)
    #: What has been seen to for `undo` already.
    kept: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Wanted(Generic[Item]):
    """An item of the file as it will be kept, and where it stands."""

    item: Item
    path: tuple[str | int, ...]


class Section(ABC, Generic[Item]):
    """One section of the file: how to see what is there, and how to bring it there with the verbs of its room."""

    name: ClassVar[str]
    #: Fields that say which object it is.
    identity: ClassVar[tuple[str, ...]] = ("name",)
    #: False: what is not in the file is never removed.
    removable: ClassVar[bool] = True
    #: True: the order means something, and the export keeps it.
    ordered: ClassVar[bool] = False

    def key(self, item: Item) -> str:
        """The name of an object."""
        return "/".join(str(getattr(item, part)) for part in self.identity)

    def same(self, item: Item) -> str:
        """Equal for the same object, whatever the spelling of its name."""
        return self.key(item)

    @abstractmethod
    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Item]:
        """What is there, in the order of the export, as the file would say it."""

    def normal(self, item: Item, run: Run) -> Item:
        """As it will be kept: the checks and spellings of the room. Raises WrongField and what the room raises."""
        return item

    @abstractmethod
    def add(self, item: Item, run: Run) -> None:
        """Make it."""

    @abstractmethod
    def change(self, before: Item, item: Item, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Change it where `fields` says so."""

    @abstractmethod
    def remove(self, item: Item, run: Run) -> None:
        """Take it away."""

    def differences(self, before: Item, item: Item, run: Run) -> dict[str, tuple[Any, Any]]:
        """Field -> (before, after) of what differs."""
        old, new = before.model_dump(), item.model_dump()
        return {name: (old[name], new[name]) for name in new if name not in self.identity and old[name] != new[name]}

    def bring(self, wanted: Sequence[Wanted[Item]], document: Document, run: Run) -> list[Change]:
        """Add and change; what is there and not wanted is named. Raises FileRefused."""
        there = {self.same(item): item for item in self.read(run.home, run.connection)}
        found = []
        for one in wanted:
            before = there.pop(self.same(one.item), None)
            line = document.line(one.path)
            with told(document, one):
                if before is None:
                    self.add(one.item, run)
                    found.append(Change(self.name, self.key(one.item), "added", self.made(one.item), line))
                elif fields := self.differences(before, one.item, run):
                    self.change(before, one.item, fields, run)
                    found.append(Change(self.name, self.key(before), "changed", fields, line))
        return found + [Change(self.name, self.key(item), "unmanaged") for item in there.values() if self.counts(item)]

    def made(self, item: Item) -> dict[str, tuple[Any, Any]]:
        """The fields of a new object, without secrets."""
        values = item.model_dump(exclude_defaults=True)
        return {name: (None, value) for name, value in values.items() if name not in {*self.identity, "passcode", "secret"}}

    def counts(self, item: Item) -> bool:
        """Whether it is worth a word when the file does not name it."""
        return True


class told:  # noqa: N801  reads as a word: with told(...)
    """Errors of the rooms become problems with a line; ours and those of the database pass."""

    def __init__(self, document: Document, one: Wanted[Any]) -> None:
        self._document, self._one = document, one

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, FileRefused):
            message = _message(error)
            if message is not None:
                path = self._one.path
                name = getattr(error, "field", "")
                if not name and (found := _FIELD.match(message)) and found[1] in type(self._one.item).model_fields:
                    name = found[1]
                    message = message.removeprefix(f"{name}: ")
                raise FileRefused(
                    [self._document.problem((*path, name) if name else path, message)], self._document.name
                ) from error


def _message(error: Exception) -> str | None:
    if type(error).__module__.split(".")[0] == "gantry":
        advice = str(getattr(error, "advice", "") or getattr(error, "remedy", "") or "")
        return f"{error} {advice}".strip()[:1000]
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror}"
    return None
