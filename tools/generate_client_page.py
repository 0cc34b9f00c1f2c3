"""The reference of the Python client, docs/reference/client.md, from its docstrings; read from the source, nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "gantry_client"
NOUNS = ("studies", "deliveries", "nodes", "rules", "storage", "people", "watching", "changes")
_HEAD = """# The Python client: `gantry_client`

Needs nothing but Python 3.11 (`packaging/client` builds a wheel of its own). `GantryClient` is for threads, `AsyncGantryClient`
for asyncio: what gives an `Iterator` here gives one for `async for` there, all else is awaited.

```python
from gantry_client import AsyncGantryClient, GantryClient

client = GantryClient("http://127.0.0.1:8080", "gty_...")        # gantry token create
for study in client.studies(modality="CT"):
    print(study.study_instance_uid, client.receipt(study.study_instance_uid).complete)


async def follow(after: int) -> None:
    async for change in AsyncGantryClient("http://127.0.0.1:8080", "gty_...").events(after):
        print(change.id, change.kind, change.data)     # keep the id: it goes on after it
```

Lists are read page by page as they are walked through. What may be repeated is, when the server is away. Every method raises
`Unreachable` or a `RequestFailed`: `NotSignedIn`, `NotAllowed`, `NotFound`, `ConflictError`, `PositionGone`, `InvalidRequest`,
`ServerFailed`; its `code` is for programs, its `remedy` for people. Everything below is generated from the docstrings.
"""


def _methods(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (noun,) = [one for one in tree.body if isinstance(one, ast.ClassDef)]
    title = "Files" if path.name == "client.py" else (ast.get_docstring(tree) or "").rstrip(".")
    lines = [f"\n## {title}\n", "| method | |", "|---|---|"]
    for one in noun.body:
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
            arguments = ast.unparse(one.args).removeprefix("self").removeprefix(", ")
            result = ast.unparse(one.returns) if one.returns else "None"
            words = " ".join((ast.get_docstring(one) or "").split())
            signature = f"{one.name}({arguments}) -> {result}".replace("|", "\\|")
            lines.append(f"| `{signature}` | {words} |")
    return lines


def client_page() -> str:
    """The whole page."""
    places = ["client.py", *(f"nouns/{noun}.py" for noun in NOUNS)]
    lines = [line for place in places for line in _methods(SOURCE / place)]
    return _HEAD + "\n".join(lines) + "\n"
