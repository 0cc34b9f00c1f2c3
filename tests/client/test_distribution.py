"""The distribution gantry-client: its parts are in step with the repository."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import gantry

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "packaging" / "client"


def test_one_source_one_licence_one_version() -> None:
    assert (CLIENT / "src" / "gantry_client").resolve() == ROOT / "src" / "gantry_client"
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["version"], project["dependencies"]) == ("gantry-client", gantry.__version__, [])


def test_it_needs_the_standard_library_only() -> None:
    for path in (ROOT / "src" / "gantry_client").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                assert top == "gantry_client" or top in sys.stdlib_module_names, f"{path.name} imports {name}"
