"""The limits of the house: sizes, names, and what may never be committed."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES = 800
FUNCTION_LINES = 60
ARGUMENTS = 8  # by position; more only where each is named at the call
NAMED_ARGUMENTS = 12
ROOM_LINES = 25  # an __init__ is a door, not a room
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "services", "handlers", "manager", "util", "helper"}


@cache
def syntax(path: Path) -> ast.Module:
    """Read once for all tests: it takes seconds."""
    return ast.parse(path.read_text())


def tracked() -> list[Path]:
    try:
        found = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in found if (path := ROOT / name).is_file()]


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and "migrations" not in path.parts]


def test_files_are_short() -> None:
    long = [f"{path.relative_to(ROOT)}: {n}" for path in python_files() if (n := path.read_text().count("\n")) > FILE_LINES]
    assert not long, f"cut by meaning: {long}"


def test_functions_are_short_and_take_few_arguments() -> None:
    problems = []
    for path in python_files():
        for node in ast.walk(syntax(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            placed = len(node.args.args) - (node.args.args[:1] != [] and node.args.args[0].arg in {"self", "cls"})
            arguments = placed + len(node.args.kwonlyargs)
            where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            if lines > FUNCTION_LINES:
                problems.append(f"{where}: {lines} lines")
            # A command's, a route's or a fixture's parameters are its options, not a burden on a caller.
            options = (
                path.is_relative_to(ROOT / "tests") or path.is_relative_to(ROOT / "bench") or path.name.startswith(("cli", "api"))
            )
            if (placed > ARGUMENTS or arguments > NAMED_ARGUMENTS) and not options:
                problems.append(f"{where}: {arguments} arguments")
    assert not problems, "\n".join(problems)


def test_names_say_something() -> None:
    assert not [str(path) for path in python_files() if path.stem in FORBIDDEN_NAMES]


def test_rooms_have_a_door() -> None:
    for init in (ROOT / "src/gantry").glob("*/__init__.py"):
        text = init.read_text()
        assert text.startswith('"""'), f"{init} must say what the room is for"
        assert text.count("\n") <= ROOM_LINES, f"{init} is a door of at most {ROOM_LINES} lines"


def test_no_addresses_and_no_machine_paths() -> None:
    address = re.compile(r'"resolved":\s*"https?:|https?://[^\s"\']+/(simple|packages|-)/|--index-url|--extra-index-url')
    problems = []
    for path in tracked():
        if path.stat().st_size > 3_000_000 or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix in {".lock", ".txt", ".json", ".yaml", ".toml"} and address.search(text):
            problems.append(f"{path}: download address")
        if f"{ROOT}/" in text:
            problems.append(f"{path}: path of this machine")
    assert not problems


def test_no_dangerous_calls() -> None:
    """No eval, exec, pickle, marshal or shell in the product (OWASP A03)."""
    problems = []
    for path in python_files():
        if not path.is_relative_to(ROOT / "src"):
            continue
        for node in ast.walk(syntax(path)):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call):
                last = getattr(node.func, "id", getattr(node.func, "attr", ""))
                name = ast.unparse(node.func) if last in {"eval", "exec", "system", "popen"} else ""
                if name in {"eval", "exec", "os.system", "os.popen"}:
                    problems.append(f"{where} {name}")
                problems += [
                    f"{where} shell=True" for k in node.keywords if k.arg == "shell" and getattr(k.value, "value", False)
                ]
            if isinstance(node, ast.Import) and {alias.name for alias in node.names} & {"pickle", "marshal", "shelve"}:
                problems.append(f"{where} pickle")
    assert not problems


def test_changelog_names_this_version() -> None:
    import gantry

    assert (
        f"## {gantry.__version__}" in (ROOT / "CHANGELOG.md").read_text()
        or "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
    )


def test_documents_link_to_files_that_exist() -> None:
    problems = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        targets = re.findall(r"\]\(([^)#\s]+)", path.read_text())
        local = [target for target in targets if not target.startswith(("http:", "https:", "mailto:"))]
        problems += [f"{path.relative_to(ROOT)}: {target}" for target in local if not (path.parent / target).exists()]
    assert not problems
