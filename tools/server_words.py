"""The words that the server says to people, with a code each: `web/src/locales/en/server.json`.

    python tools/server_words.py            write the table anew
    python tools/server_words.py --check    1 when it is not what the sources say

The server speaks English, in its sources; there is no second place to keep. This reads them (nothing is run): what is
raised for people, the explanations of the wire, the health checks, the alerts, and the messages of pydantic. A value
stands as {0}, {1}. A code, once given, stays with its sentence, also when a few words of it change; the other languages
(`web/src/locales/*/server.json`) go by it. docs/howto/translate.md tells the rest.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
TABLE = ROOT / "web" / "src" / "locales" / "en" / "server.json"
#: Modules whose sentences are all for people, wherever in them they stand.
WHOLE = (
    "dimse/explain.py", "dimse/tls_failures.py", "gantry/nodes/stow_explain.py", "gantry/nodes/explain.py",
    "gantry/nodes/folder_write.py", "gantry/nodes/echo.py", "gantry/nodes/commit.py", "gantry/nodes/fetch.py",
    "gantry/nodes/probe.py", "gantry/nodes/send_dimse.py", "gantry/main/overview_checks.py", "gantry/main/health_api.py",
    "gantry/main/doctor_dicom.py", "gantry/alerts/rules.py", "gantry/intake/judge.py",
    "gantry/intake/examine.py", "gantry/intake/volumes.py", "gantry/transfers/deliver.py", "gantry/main/errors_api.py",
    "gantry/accounts/explain.py", "gantry/accounts/passwords.py", "gantry/audit/verify.py",
)  # fmt: skip
#: What only a terminal, a log or a programmer sees.
TERMINAL = re.compile(
    r"gantry/main/(cli|home|landing|leftovers|backup_|setting_origins|postgres|restore|serve|supervisor|up\.|child|doctor|demo|migrate|ports|conformance|openapi|stopping"
    r"|process_|verify_home|previous|web_app|logs|permissions_check|queue_connection|subscriptions|asgi|django_settings)"
    r"|migrations/|gantry/receiver/(?!allow|entries|policy|callers)|gantry/storage/(?!volume|verify)|gantry/audit/(anchor|record)|gantry/facts/(subscribe|feed)"
)
#: Errors of a programmer, and those of the wire, which `dimse.explain` says in other words.
NOT_FOR_PEOPLE = {"AssertionError", "NotImplementedError", "SystemExit", "TypeError", "RuntimeError", "KeyError", "StopIteration"}
#: Words of a call that are no sentence for people.
_NO_WORDS = {"info", "warning", "debug", "error", "exception", "execute", "getLogger", "compile", "append_log", "Field", "get"}
_GIVEN = {"remedy", "message", "cause", "reason", "explanation", "words", "text", "note"}
#: Calls whose texts are words for people.
_SAYING = {
    "Finding", "Problem", "complain", "Explanation", "_bad", "_error", "_Refused", "refuse", "Refused", "_problem", "_wrong",
    "Check",
}  # fmt: skip
#: The family of accounts/errors.py: such an error says its docstring when nobody says more.
_REFUSALS = {
    "RequestRefused", "NotSignedIn", "NotAllowed", "NotFound", "Conflict", "Invalid", "Unavailable",
}  # fmt: skip
_LEVELS = {"fine", "warning", "problem", "error"}
#: Seen by machines.
_NOT_SAID = re.compile(
    r"^(-----|handshake is taking|Prometheus|performed procedure|OpenID Connect: no|request for commitment$)"
    r"|^(invalid|internal|unavailable)$"
)
_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|SET LOCAL)\b")
_WORD = re.compile(r"[A-Za-z]{2,}")
_ALONE = re.compile(r"^[A-Za-z]{4,}(?: \{\d\})*$")
_SPOT = re.compile(r"\{[a-z_]*\}")
MAX_CODE = 48


class Sentences(ast.NodeVisitor):
    """The sentences of one module."""

    def __init__(self, tree: ast.Module, whole: bool) -> None:
        self.found: dict[str, None] = {}
        self._whole = whole
        self._texts = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.visit(tree)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """An error that has a code says its docstring when nobody says more, and has a remedy of its own."""
        given = dict(pair for statement in node.body for pair in _given(statement))
        bases = {_name(base) for base in node.bases}
        if bases & _REFUSALS:
            self._take(ast.Constant((ast.get_docstring(node) or "").strip()))
        for name in {"remedy", "message", "cause"} & set(given):
            self._take(given[name])
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """What is raised, by the arguments of the error."""
        if isinstance(node.exc, ast.Call) and _name(node.exc.func) not in NOT_FOR_PEOPLE:
            for argument in node.exc.args:
                self._take(argument)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Named arguments that are words for people, wherever they are given."""
        if self._whole and _name(node.func) in _NO_WORDS:
            return
        if _name(node.func) != "Field":
            for keyword in node.keywords:
                if keyword.arg in _GIVEN or (keyword.arg == "name" and _name(node.func) in _SAYING):
                    self._take(keyword.value, alone=True)
        if _name(node.func) in _SAYING:
            for argument in node.args:
                self._take(argument, alone=True)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """In a module of sentences: what is put together before it is said."""
        if self._whole and any(isinstance(target, ast.Name) and target.id == "subject" for target in node.targets):
            self._take(node.value, alone=True)
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        """In a module of sentences: rows of a table, whose first word is what they are about."""
        first = node.elts[0] if node.elts else None
        rest = [one.value for one in node.elts[1:] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if self._whole and isinstance(first, ast.Constant) and isinstance(first.value, str) and any(" " in text for text in rest):
            self._take(first, alone=True)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """No docstrings."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """In a module of sentences: each of them."""
        if self._whole:
            self._take(node)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        """In a module of sentences: each of them."""
        if self._whole and isinstance(node.value, str) and " " in node.value:
            self._take(node)

    def _take(self, node: ast.AST, *, alone: bool = False) -> None:
        """`alone`: it is known to be for people, so one word is enough."""
        if isinstance(node, ast.IfExp):
            self._take(node.body, alone=alone)
            self._take(node.orelse, alone=alone)
            return
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self._take(value, alone=alone)
            return
        text = self._text(node)
        if text is None or _SQL.search(text) or _NOT_SAID.search(text):
            return
        text = numbered(text)
        if is_sentence(text) or (alone and _ALONE.search(text) and text not in _LEVELS):
            self.found[text] = None

    def _text(self, node: ast.AST) -> str | None:
        """A sentence with {} for each value; None for what is none."""
        found = None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _SPOT.sub("{}", node.value)
        elif isinstance(node, ast.Name) and node.id in self._texts:
            found = _SPOT.sub("{}", self._texts[node.id])
        elif isinstance(node, ast.JoinedStr):
            found = "".join(self._part(part) for part in node.values)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = [self._text(node.left), self._text(node.right)]
            found = "".join("{}" if side is None else side for side in sides) if any(sides) else None
        elif isinstance(node, ast.Subscript):  # a text cut to a length
            found = self._text(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "strip"}:
            found = self._text(node.func.value)
        return found

    def _part(self, part: ast.AST) -> str:
        if isinstance(part, ast.FormattedValue):
            if isinstance(part.value, ast.Name) and part.value.id in self._texts:
                return self._text(part.value) or "{}"
            if isinstance(part.value, ast.IfExp):  # its words stand alone
                self._take(part.value)
            return "{}"
        return str(part.value) if isinstance(part, ast.Constant) else "{}"


def _given(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def numbered(text: str) -> str:
    """Its values as {0}, {1} and so on."""
    first, *rest = re.sub(r"(\{\})+", "{}", " ".join(text.split())).split("{}")
    return first + "".join(f"{{{number}}}{part}" for number, part in enumerate(rest))


def is_sentence(text: str) -> bool:
    """Whether there are words in it: two, or one that is long enough to be known again."""
    bare = re.sub(r"\{\d+\}", " ", text)
    words = _WORD.findall(bare)
    return " " in text.strip() and len(words) >= 2 and len("".join(words)) >= 7


def of_sources() -> dict[str, list[str]]:
    """Room -> its sentences, in the order of the sources."""
    rooms: dict[str, dict[str, None]] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        place = path.relative_to(SOURCES).as_posix()
        if place not in WHOLE and (TERMINAL.search(place) or place.startswith(("gantry_client", "dimse/"))):
            continue
        parts = place.split("/")
        room = parts[1] if len(parts) > 2 else parts[0] if parts[0] == "dimse" else "main"
        found = Sentences(ast.parse(path.read_text(encoding="utf-8")), place in WHOLE).found
        rooms.setdefault(room, {}).update(found)
    rooms["values"] = dict.fromkeys(of_pydantic())
    rooms["settings"] = dict.fromkeys(_meanings("gantry/config.py", "Field"))
    rooms["actions"] = dict.fromkeys(_meanings("gantry/accounts/actions.py", "MappingProxyType"))
    known: set[str] = set()
    result: dict[str, list[str]] = {}
    for room, found in rooms.items():
        result[room] = [text for text in found if text not in known]
        known |= set(found)
    return {room: sentences for room, sentences in result.items() if sentences}


def _meanings(place: str, call: str) -> Iterator[str]:
    """What settings and actions mean: descriptions of fields, and the values of a table from names to meanings."""
    for node in ast.walk(ast.parse((SOURCES / place).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or _name(node.func) != call:
            continue
        texts = [keyword.value for keyword in node.keywords if keyword.arg == "description"]
        texts += [value for table in node.args if isinstance(table, ast.Dict) for value in table.values]
        yield from (" ".join(one.value.split()) for one in texts if isinstance(one, ast.Constant) and isinstance(one.value, str))


def of_pydantic() -> list[str]:
    """What a wrong value is told: of the kinds of error that JSON can have."""
    from pydantic_core._pydantic_core import list_all_errors

    never = re.compile(
        r"^(is_|dataclass|arguments|callable|mapping|model_(attributes|class)|unexpected_(keyword|pos)|multiple_arg|no_such_attr"
        r"|missing_(arg|key|pos|sent)|frozen|get_attr|recursion|iter|assertion|set_|tuple|bytes|complex|default|needs)"
    )
    return [
        numbered(_SPOT.sub("{}", kind.get("message_template_json", kind["message_template_python"])))
        for kind in list_all_errors()
        if not never.match(kind["type"])
    ]


def coded(rooms: dict[str, list[str]], before: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Room -> code -> sentence; codes of `before` stay, also with a sentence that is nearly the same."""
    table: dict[str, dict[str, str]] = {}
    for room, sentences in rooms.items():
        old = before.get(room, {})
        by_sentence = {sentence: code for code, sentence in old.items()}
        gone = {sentence: code for code, sentence in old.items() if sentence not in set(sentences)}
        codes: dict[str, str] = {}
        for sentence in sentences:
            code = by_sentence.get(sentence) or _near(sentence, gone) or _fresh(sentence, {*codes, *old})
            codes[code] = sentence
        table[room] = codes
    return table


def _near(sentence: str, gone: dict[str, str]) -> str:
    for old in difflib.get_close_matches(sentence, gone, 1, 0.86):
        if re.findall(r"\{\d+\}", old) == re.findall(r"\{\d+\}", sentence):
            return gone.pop(old)
    return ""


def _fresh(sentence: str, taken: set[str]) -> str:
    words = re.findall(r"[a-z0-9]+", re.sub(r"\{\d+\}", " ", sentence).lower())
    code = "_".join(words[:8])[:MAX_CODE].rstrip("_")
    number = 2
    free = code
    while free in taken:
        free, number = f"{code}_{number}", number + 1
    return free


def read() -> dict[str, dict[str, str]]:
    """The table as it is kept."""
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}


def main() -> int:
    """Gives 1 when --check finds it outdated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    before = read()
    table = coded(of_sources(), before)
    if arguments.check:
        return int(table != before)
    TABLE.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{TABLE.relative_to(ROOT)}: {sum(map(len, table.values()))} sentences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
