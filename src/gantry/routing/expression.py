"""Conditions joined by and, or, not: the tree, its stored form (JSON) and its written form.

    Modality=CT and not (StationName=X* or time 22:00-06:00)

`not` binds closer than `and`, `and` closer than `or`. A value reaches to the next ` and `, ` or ` or closing
parenthesis; one that holds these stands in double quotes, where `\\"` is a quote and `\\\\` a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gantry.routing.conditions import Condition, checked, from_json, parse
from gantry.routing.errors import BadCondition

MAX_TEXT = 20_000
MAX_DEPTH = 20
MAX_CONDITIONS = 500
_WORD = re.compile(r"(and|or|not)(?![A-Za-z0-9=~!])", re.IGNORECASE)
_HEAD = re.compile(r"(?:(?P<spoken>time|weekday|address)\s+(?![=~!])|(?P<keyword>[A-Za-z0-9]+)\s*(?P<sign>!=|!~|=|~))", re.ASCII)
_JOIN = re.compile(r"\s+(?:and|or)(?=[\s(]|$)", re.IGNORECASE)
_NEEDS_QUOTES = re.compile(r"(?:^|\s)(?:and|or|not)(?:\s|$)|^\s|\s$|[()\"]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Every:
    """Every part holds; without parts: always."""

    parts: tuple[Expression, ...]

    def to_json(self) -> dict[str, object]:
        """`{"all": [...]}`."""
        return {"all": [part.to_json() for part in self.parts]}

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, Some) else _written(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Expression, ...]

    def to_json(self) -> dict[str, object]:
        """`{"any": [...]}`."""
        return {"any": [part.to_json() for part in self.parts]}

    def __str__(self) -> str:
        return " or ".join(f"({part})" if isinstance(part, Some) else _written(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Expression

    def to_json(self) -> dict[str, object]:
        """`{"not": ...}`."""
        return {"not": self.part.to_json()}

    def __str__(self) -> str:
        return f"not {_written(self.part)}" if isinstance(self.part, Condition | Not) else f"not ({self.part})"


Expression: TypeAlias = "Condition | Every | Some | Not"


def written(expression: Expression) -> str:
    """The written form; `parse_expression` reads it again."""
    return _written(expression)


def _written(part: Expression) -> str:
    if not isinstance(part, Condition):
        return str(part)
    sign = "~" if part.operator == "regex" else "="
    value = str(part)[len(part.keyword) + 1 :]
    if _NEEDS_QUOTES.search(value):
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{part.keyword}{sign}{value}"


def leaves(expression: Expression) -> Iterator[Condition]:
    """All single conditions."""
    if isinstance(expression, Condition):
        yield expression
    elif isinstance(expression, Not):
        yield from leaves(expression.part)
    else:
        for part in expression.parts:
            yield from leaves(part)


def parse_expression(text: str) -> Expression:
    """Read the written form. Raises BadCondition, which says where."""
    if len(text) > MAX_TEXT:
        raise BadCondition(f"a condition has at most {MAX_TEXT} characters")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent; the depth is counted, so hostile parentheses end as an error and not as a full stack."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._conditions = 0

    def whole(self) -> Expression:
        if not self._text.strip():
            raise self._error("a condition is empty", 0)
        found = self._or()
        self._space()
        if self._at < len(self._text):
            raise self._error(
                "a closing parenthesis without an opening one" if self._peek() == ")" else "`and` or `or` is missing"
            )
        return found

    def _or(self) -> Expression:
        return self._joined("or", self._and, Some)

    def _and(self) -> Expression:
        return self._joined("and", self._not, Every)

    def _joined(
        self, word: str, inner: Callable[[], Expression], kind: Callable[[tuple[Expression, ...]], Expression]
    ) -> Expression:
        parts = [inner()]
        while self._take_word(word):
            parts.append(inner())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _not(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} levels of parentheses and `not`")
        try:
            if self._take_word("not"):
                return Not(self._not())
            if self._peek() == "(":
                opened = self._at
                self._at += 1
                found = self._or()
                self._space()
                if self._peek() != ")":
                    raise self._error("this parenthesis is not closed", opened)
                self._at += 1
                return found
            return self._condition()
        finally:
            self._depth -= 1

    def _condition(self) -> Expression:
        began = self._at
        head = _HEAD.match(self._text, self._at)
        if head is None:
            raise self._error("a condition is missing here: write Keyword=value, Keyword=a,b, Keyword=A*, Keyword~regex")
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise self._error(f"more than {MAX_CONDITIONS} conditions")
        self._at = head.end()
        value = self._quoted() if self._peek_after_space() == '"' else self._bare()
        keyword = head["keyword"] or {"address": "RemoteAddress"}.get(head["spoken"], head["spoken"])
        sign = head["sign"] or "="
        try:
            leaf = parse(f"{keyword}{sign[-1]}{value}")
        except BadCondition as error:
            raise self._error(str(error), began) from error
        return Not(leaf) if sign[0] == "!" else leaf

    def _quoted(self) -> str:
        self._space()
        began = self._at
        self._at += 1
        out: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in {'"', "\\"}:
                out.append(self._text[self._at + 1])
                self._at += 2
                continue
            self._at += 1
            if char == '"':
                return "".join(out)
            out.append(char)
        raise self._error("this quotation mark is not closed", began)

    def _bare(self) -> str:
        began, open_ = self._at, 0
        while self._at < len(self._text):
            char = self._text[self._at]
            if char.isspace() and _JOIN.match(self._text, self._at):
                break
            if char == ")" and not open_:
                break
            open_ += (char == "(") - (char == ")")
            self._at += 2 if char == "\\" else 1
        self._at = min(self._at, len(self._text))
        return self._text[began : self._at]

    def _space(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _peek(self) -> str:
        self._space()
        return self._text[self._at : self._at + 1]

    def _peek_after_space(self) -> str:
        return self._text[self._at :].lstrip()[:1]

    def _take_word(self, word: str) -> bool:
        self._space()
        match = _WORD.match(self._text, self._at)
        if match is None or match[1].lower() != word:
            return False
        self._at = match.end()
        return True

    def _error(self, message: str, at: int | None = None) -> BadCondition:
        place = self._at if at is None else at
        return BadCondition(f"at character {place + 1} ({self._text[place : place + 20]!r}): {message}")


def read(data: object, depth: int = 0) -> Expression:
    """Read the stored form: a condition, or `{"all": [...]}`, `{"any": [...]}`, `{"not": ...}`. Raises BadCondition."""
    if depth > MAX_DEPTH:
        raise BadCondition(f"conditions are nested more than {MAX_DEPTH} deep")
    if isinstance(data, Mapping) and len(data) == 1:
        word, inner = next(iter(data.items()))
        if word == "not":
            return Not(read(inner, depth + 1))
        if word in {"all", "any"}:
            if not isinstance(inner, Sequence) or isinstance(inner, str) or not inner:
                raise BadCondition(f"{word!r} needs a list of conditions")
            parts = tuple(read(item, depth + 1) for item in inner)
            return Every(parts) if word == "all" else Some(parts)
    return checked(from_json(data))


def read_all(items: Sequence[object]) -> tuple[Expression, ...]:
    """The conditions of a rule: all must hold. Raises BadCondition."""
    found = tuple(read(item) for item in items)
    if sum(1 for expression in found for _ in leaves(expression)) > MAX_CONDITIONS:
        raise BadCondition(f"a rule has at most {MAX_CONDITIONS} conditions")
    return found
