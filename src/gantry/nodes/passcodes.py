"""Passcodes of the users we are at nodes: sealed in the row of the node, or where they are (`env:`, `file:`).

An earlier release kept them in files of HOME/secrets. Those count while the row says nothing, so that there is a way
back to that release, until the passcode is changed or `gantry secrets rotate` takes them over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction

from gantry import sealing
from gantry.nodes.errors import BadNode

if TYPE_CHECKING:
    import psycopg

PURPOSE = "node:{key}"
_LIMIT = 4096
_FILES = "node-*.passcode"


def keep_passcode(home: Path, node_id: int, passcode: str) -> None:
    """Keep what a person gave: a reference as it is, anything else sealed. One that is as before changes nothing, so that
    a reference stays one. In the transaction of the caller. Raises BadNode for one that cannot be meant."""
    from gantry.nodes.models import Node

    if "\0" in passcode or len(passcode.encode("utf-8")) > _LIMIT:
        raise BadNode(f"a passcode has at most {_LIMIT} bytes and no character NUL")
    purpose = PURPOSE.format(key=node_id)
    stored = Node.objects.values_list("passcode", flat=True).get(pk=node_id)
    with contextlib.suppress(sealing.SecretUnavailable):
        if stored and passcode not in ("", stored) and sealing.reveal(home, stored, purpose) == passcode:
            return
    path = _path(home, node_id)
    # None at all is said as well where there is a file: it would count again if we died before it is removed.
    hidden = not passcode and path.exists()
    kept = sealing.seal(home, "", purpose) if hidden else sealing.stored_form(home, passcode, purpose)
    Node.objects.filter(pk=node_id).update(passcode=kept)

    def forget_file() -> None:
        path.unlink(missing_ok=True)
        if kept and not passcode:
            Node.objects.filter(pk=node_id, passcode=kept).update(passcode="")

    transaction.on_commit(forget_file)


def passcode_of(home: Path, node_id: int, stored: str) -> str:
    """The passcode behind the stored form of a row; empty: the node has none. Raises BadNode where it cannot be had."""
    if not stored:
        return _from_file(_path(home, node_id))
    try:
        return sealing.reveal(home, stored, PURPOSE.format(key=node_id))
    except sealing.SecretUnavailable as error:
        raise BadNode(f"the passcode of the node cannot be had: {error}") from error


def as_kept(home: Path, node_id: int, stored: str) -> str:
    """What `keep_passcode` takes so that it stays as it is, though this process may not be able to open it."""
    return stored or _from_file(_path(home, node_id))


def stored_form(home: Path, node_id: int, stored: str) -> str:
    """How it is kept, for people: its reference, `sealed...`, or empty; never the passcode."""
    return stored or ("sealed" if _from_file(_path(home, node_id)) else "")


def forget_passcode(home: Path, node_id: int) -> None:
    """The node has none any more. In the transaction of the caller."""
    keep_passcode(home, node_id, "")


def _path(home: Path, node_id: int) -> Path:
    return home / "secrets" / f"node-{node_id}.passcode"


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _files(home: Path) -> list[Path]:
    return sorted((home / "secrets").glob(_FILES))


def _count_files(connection: psycopg.Connection[Any], home: Path) -> int:
    return len(_files(home))


def _take_files(connection: psycopg.Connection[Any], home: Path) -> tuple[int, Callable[[], None]]:
    """What the row says counts more than a file; a file of a node that is gone is of no use."""
    files, count = _files(home), 0
    for path in files:
        number = path.name.removeprefix("node-").removesuffix(".passcode")
        if number.isdecimal() and (passcode := _from_file(path)):
            count += connection.execute(
                "UPDATE nodes_node SET passcode = %s WHERE id = %s AND passcode = ''",
                [sealing.seal(home, passcode, PURPOSE.format(key=number)), int(number)],
            ).rowcount

    def forget() -> None:
        for path in files:
            path.unlink(missing_ok=True)

    return count, forget


sealing.declare("nodes_node", "passcode", purpose=PURPOSE)
sealing.declare_older(sealing.Older("nodes_node", "passcode", "file (earlier release)", _count_files, _take_files))
