"""The API reference of the wire engine, docs/reference/dimse.md, from its docstrings; read from the source, nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "dimse"
#: What a user of the engine meets, in the order of reading; the rest is inside.
MODULES = (
    "aio/__init__", "aio/opening", "aio/client", "aio/operation", "aio/pool", "aio/server", "aio/acceptor", "aio/files",
    "blocking/__init__", "blocking/opening", "blocking/client", "blocking/operation", "blocking/server", "blocking/acceptor",
    "acceptance", "negotiation", "operations", "identifier", "dictionary", "requesting", "status", "explain",
    "errors", "tls", "uids", "association", "events",
)  # fmt: skip
_HEAD = """# The wire engine: `dimse`

`dimse` needs nothing but Python 3.11 (uvloop is used if it is there) and can be used without the rest of Gantry.
`dimse.aio` is for asyncio, `dimse.blocking` for threads; both have the same names. Two worked examples: a
[storage provider](../../examples/storage_provider.py) and a [query/retrieve client](../../examples/find_and_fetch.py).
Everything below is generated from the docstrings.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _public(name: str) -> bool:
    return not name.startswith("_")


def _text(node: ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef | ast.Module) -> str:
    return (ast.get_docstring(node) or "").strip()


def _signature(node: Function) -> str:
    arguments = ast.unparse(node.args)
    for first in ("self", "cls"):
        arguments = arguments.removeprefix(f"{first}, ") if arguments != first else ""
    word = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{word}{node.name}({arguments}){result}"


def _is_property(node: Function) -> bool:
    return any(ast.unparse(decorator) in {"property", "cached_property"} for decorator in node.decorator_list)


def _fields(node: ast.ClassDef) -> list[str]:
    found = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and _public(item.target.id):
            value = f" = {ast.unparse(item.value)}" if item.value else ""
            found.append(f"{item.target.id}: {ast.unparse(item.annotation)}{value}")
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name) and _public(item.targets[0].id):
            found.append(f"{item.targets[0].id} = {ast.unparse(item.value)}")
    return found


def _class(node: ast.ClassDef) -> list[str]:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"### class `{node.name}{f'({bases})' if bases else ''}`\n", _text(node) + "\n"]
    if fields := _fields(node):
        lines += ["```python", *fields, "```\n"]
    for item in node.body:
        if not isinstance(item, Function) or not (_public(item.name) or (item.name == "__init__" and len(item.args.args) > 1)):
            continue
        shown = item.name if _is_property(item) else _signature(item)
        if item.name == "__init__":
            shown = shown.replace("__init__", node.name).removesuffix(" -> None")
        text = " ".join(_text(item).split())
        lines.append(f"- `{shown}`{': ' + text if text else ''}")
    lines.append("")
    return lines


def _module(name: str) -> list[str]:
    tree = ast.parse((SOURCE / f"{name}.py").read_text())
    dotted = "dimse." + name.replace("/", ".").removesuffix(".__init__")
    lines = [f"## `{dotted}`\n", _text(tree) + "\n"]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _public(node.name):
            lines += _class(node)
        elif isinstance(node, Function) and _public(node.name):
            lines += [f"### {node.name}()\n", "```python", _signature(node), "```\n", _text(node) + "\n"]
    return lines


def dimse_page() -> str:
    """The whole page."""
    lines = [_HEAD]
    for name in MODULES:
        if (SOURCE / f"{name}.py").exists():
            lines += _module(name)
    return "\n".join(line.rstrip(" ") for line in lines).rstrip() + "\n"
