"""The documents say what is: each `gantry` command in them is understood, and every page of the app has its picture."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gantry.main.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "howto").glob("*.md")),
    *sorted((ROOT / "docs" / "start").glob("*.md")), *sorted((ROOT / "docs" / "why").glob("*.md")),
]  # fmt: skip
#: What click is to typer differs by its version: Any.
_PROGRAM: Any = typer.main.get_command(app)
_FENCE = re.compile(r"^```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4}\S.*\n)+", re.MULTILINE)
#: Ends of a command within a line: the shell's, and what stands in for the rest of the line.
_ENDS = {"&&", "||", "|", ";", ")", ">", "<"}


def _lines(page: Path) -> Iterator[tuple[int, str, bool]]:
    """Number, text, and whether it is meant to be typed (in a block) or only named (in a sentence)."""
    text = page.read_text(encoding="utf-8")
    for pattern in (_FENCE, _INDENTED):
        for block in pattern.finditer(text):
            first = text[: block.start(pattern.groups)].count("\n") + 1
            yield from ((first + at, line, True) for at, line in enumerate(block[pattern.groups].splitlines()))
        text = pattern.sub(lambda block: "\n" * block[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), start=1):
        yield from ((number, span, False) for span in re.findall(r"`([^`]+)`", line))


def _commands(line: str) -> Iterator[list[str]]:
    """The words of each `gantry ...` in a line of shell, without comments."""
    try:
        lexer = shlex.shlex(line.replace("$(", " ( ").replace("`", " ; "), posix=True, punctuation_chars=True)
        lexer.wordchars += "*?[]{}^~@:=,+%!$\\"
        lexer.whitespace_split = False
        words = [*lexer, ";"]
    except ValueError:
        return
    own: list[str] | None = None
    for word in words:
        if word in _ENDS or set(word) <= set("();<>|&`"):
            if own:
                yield own
            own = None
        elif own is not None:
            own.append(word)
        elif word == "gantry":
            own = []


def _fault(words: list[str], typed: bool) -> str:
    """Why the program would not understand this; '' when it would."""
    command: Any = _PROGRAM
    parent: Any = None
    name = "gantry"
    words = [word if typed else word.strip("[]") for word in words if word not in {"...", "…"}]
    try:
        while True:
            if not words and hasattr(command, "commands") and not typed:
                return ""
            context = command.make_context(name, list(words), parent=parent)
            if not hasattr(command, "commands"):
                return ""
            words = [*context._protected_args, *context.args]
            if not words and command.invoke_without_command:
                return ""
            name, found, words = command.resolve_command(context, words)
            command, parent = found, context
    except Exception as error:
        kind = type(error).__name__  # of click, or of the copy of it that typer brings
        if kind == "NoArgsIsHelpError" or (not typed and kind in {"MissingParameter", "BadOptionUsage"}):
            return ""
        # A word that stands for something (NAME, UID, N) is no number and no file that exists.
        if kind == "BadParameter" and re.search(r"[A-Z]|/|\.", str(words)):
            return ""
        return f"{kind}: {error.format_message() if hasattr(error, 'format_message') else error}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_in_the_documents_are_understood(page: Path) -> None:
    wrong = [
        f"{page.relative_to(ROOT)}:{number}: gantry {' '.join(words)}: {fault}"
        for number, line, typed in _lines(page)
        for words in _commands(line)
        if (fault := _fault(words, typed))
    ]
    assert wrong == []


SCREENS = ROOT / "docs" / "screens"
MENU = re.findall(r"to: '/([a-z-]+)'", (ROOT / "web" / "src" / "navigation.ts").read_text(encoding="utf-8"))


def test_every_page_of_the_menu_has_its_picture_and_is_shown() -> None:
    assert len(MENU) > 8
    pictures = {path.stem: path for path in SCREENS.glob("*.webp")}
    wanted = {*MENU, "profile", "sign-in", "viewer", "study", "receipt"}
    assert wanted - set(pictures) == set(), "make screens"
    gallery = (SCREENS / "README.md").read_text(encoding="utf-8")
    assert {name for name in pictures if f"({name}.webp)" not in gallery} == set()


def test_the_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in SCREENS.iterdir()}
    assert all(size > 4096 for name, size in sizes.items() if name.endswith(".webp")), sizes
    assert sum(sizes.values()) < 3_000_000
