"""Read YAML with the line of every value, within limits: size, depth, number of values (aliases counted as often as they
are used). Only plain values, lists and mappings; no tags, no key twice.

Words are read as in YAML 1.2: `no`, `on`, `0x10` and `22:30` are text, where YAML 1.1 makes truth values and numbers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from gantry.main.one_file.errors import FileRefused, Problem

MAX_BYTES = 4 << 20
MAX_DEPTH = 30
MAX_VALUES = 200_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
#: No more than what PyYAML puts into quotes when it is text, so that every text that we write is read as text.
_FRACTION = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,60}|\.[0-9]{1,60})(?:[eE][-+][0-9]{1,3})?", re.ASCII)
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_QUOTED = frozenset({f"{_STANDARD}str", "!"})
#: What PyYAML guesses that a word is; we judge it anew.
_PLAIN = frozenset(f"{_STANDARD}{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge"))

Path: TypeAlias = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """What a file says, and in which line. `name` is how people call the file."""

    name: str
    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest one around it."""
        for length in range(len(path), -1, -1):
            if found := self.lines.get(path[:length]):
                return found
        return 1

    def problem(self, path: Path, message: str) -> Problem:
        """What is wrong with the value at `path`."""
        return Problem(self.line(path), words(path), message)


def words(path: Path) -> str:
    """`nodes[2].address`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def read(raw: bytes, name: str = "file") -> Document:
    """Read one document. Raises FileRefused with the line."""
    if len(raw) > MAX_BYTES:
        raise _refused(name, 0, f"has {len(raw)} bytes; {MAX_BYTES} are allowed")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(name, raw.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from error
    try:
        _measure(text, name)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused(name, mark.line + 1 if mark else 1, f"is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # characters that YAML has not
        raise _refused(name, 1, f"is not YAML: {getattr(error, 'reason', None) or 'a character that is not allowed'}") from error
    document = Document(name, None)
    if node is None:
        raise _refused(name, 1, "is empty: `gantry export` shows how such a file looks")
    document.value = _Reader(document).value(node, (), 0)
    return document


def _refused(name: str, line: int, message: str) -> FileRefused:
    return FileRefused([Problem(line, "", message)], name)


def _measure(text: str, name: str) -> None:
    """Depth and size by events, before anything is built from them."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _refused(name, _line(event), f"more than {MAX_DEPTH} levels deep")
        if count > 2 * MAX_VALUES:
            raise _refused(name, _line(event), f"more than {MAX_VALUES} values")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


class _Reader:
    """Nodes of YAML to values; keeps the lines in the document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def value(self, node: yaml.Node, path: Path, depth: int) -> Any:
        """The value of a node. Raises FileRefused."""
        line = node.start_mark.line + 1
        self._document.lines[path] = line
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._refuse(line, path, f"more than {MAX_VALUES} values, aliases counted as often as they are used")
        if depth > MAX_DEPTH:  # an alias of what is around it
            raise self._refuse(line, path, f"more than {MAX_DEPTH} levels deep")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, line, path)
        if node.tag not in {f"{_STANDARD}seq", f"{_STANDARD}map"}:
            raise self._refuse(line, path, f"the tag {node.tag[:80]!r} is not allowed")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._mapping(node, path, depth)

    def _mapping(self, node: yaml.Node, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == f"{_STANDARD}merge":
                raise self._refuse(line, path, "a key is plain text here; merging (`<<`) is not supported")
            key = str(key_node.value)
            if key in found:
                first = self._document.lines[(*path, key)]
                raise self._refuse(line, (*path, key), f"stands here twice, the first time in line {first}")
            found[key] = self.value(value_node, (*path, key), depth + 1)
            self._document.lines[(*path, key)] = line
        return found

    def _scalar(self, node: yaml.ScalarNode, line: int, path: Path) -> Any:
        text = str(node.value)
        quoted = bool(node.style)  # the C parser says "" for plain text, the other one None
        if node.tag not in (_QUOTED if quoted else _PLAIN):
            raise self._refuse(line, path, f"the tag {node.tag[:80]!r} is not allowed")
        if quoted:
            return text
        if text in _NOTHING:
            return None
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FRACTION.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text

    def _refuse(self, line: int, path: Path, message: str) -> FileRefused:
        return FileRefused([Problem(line, words(path), message)], self._document.name)
